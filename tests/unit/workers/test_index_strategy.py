"""Several package indexes: the same outcome with uv and with pip, over real indexes on a real socket."""

import functools
import shutil
import zipfile
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest

from ipc.errors import BuildError
from ipc.messages import WarningRaised
from ipc.settings import VenvConfig
from tests.support.http_servers import LocalServer, serving
from tests.support.job_contexts import Heard
from tests.unit.workers.test_venv import output_of
from workers.builders.index_settings import index_note
from workers.builders.installers import find_installer
from workers.builders.venv import VenvBuilder
from workers.context import JobContext
from workers.sources import Project

ContextMaker = Callable[..., JobContext]


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name in the standard library)
        """Say nothing."""


def add_wheel(index: Path, name: str, version: str) -> None:
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    (index / name).mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(index / name / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, text in (*files.items(), (f"{info}/RECORD", record)):
            wheel.writestr(path, text)


@pytest.fixture
def indexes(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The index, and an extra one."""
    add_wheel(tmp_path / "indexes" / "main", "foopkg", "2.0")
    add_wheel(tmp_path / "indexes" / "extra", "foopkg", "1.0")
    add_wheel(tmp_path / "indexes" / "main", "torchy", "2.0")
    add_wheel(tmp_path / "indexes" / "extra", "torchy", "2.1")
    with serving(LocalServer(functools.partial(_Quiet, directory=str(tmp_path / "indexes")))) as server:  # type: ignore[arg-type]
        yield f"{server.url}/main/", f"{server.url}/extra/"


def job(make_context: ContextMaker, tmp_path: Path, requirements: str) -> tuple[Project, JobContext]:
    context = make_context(venv=VenvConfig(cache_dir=str(tmp_path / "venvs")))
    (context.work / "requirements.txt").write_text(requirements)
    return Project(context.work), context


@pytest.mark.timeout(240)
@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_the_projects_own_indexes_are_one(
    make_context: ContextMaker, tmp_path: Path, indexes: tuple[str, str], tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tool == "pip":
        monkeypatch.setattr("ipc.own_uv.shutil.which", lambda *_args, **_kwargs: None)
    main, extra = indexes
    asked = f"--index-url {main}\n--extra-index-url {extra}\ntorchy==2.1\nfoopkg>=2.0\n"

    build = VenvBuilder().build(*job(make_context, tmp_path, asked))

    assert output_of(build, "python", "-c", "import foopkg, torchy; print(foopkg.VERSION, torchy.VERSION)") == "2.0 2.1"


@pytest.mark.timeout(240)
def test_an_index_of_the_project_takes_no_name_of_the_hosts(
    make_context: ContextMaker,
    tmp_path: Path,
    indexes: tuple[str, str],
    heard: Heard,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    main, extra = indexes
    monkeypatch.setenv("UV_DEFAULT_INDEX", extra)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")

    with pytest.raises(BuildError):
        VenvBuilder().build(*job(make_context, tmp_path, f"--extra-index-url {main}\nfoopkg>=2.0\ntorchy==2.1\n"))

    warnings = [event.message for event in heard if isinstance(event, WarningRaised)]
    assert [one.startswith("This host and the project both name package indexes") for one in warnings] == [True]


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [("uv", "from the first one that has its name, the host's first"), ("pip", "from any of them")],
)
def test_indexes_of_two_parties_are_told_of(tool: str, sentence: str) -> None:
    host, asked = ["--index-url http://a/"], ["--extra-index-url http://b/"]
    assert sentence in (index_note(tool, host, asked) or "")
    assert index_note(tool, host, ["--pre"]) is index_note(tool, [], asked) is None


def test_another_uv_on_the_path_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipc.own_uv.sys.executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(Path(shutil.which("uv") or "/usr/bin/uv").parent), prepend=":")

    assert find_installer("/usr/bin/python3", ()).name == "pip"
