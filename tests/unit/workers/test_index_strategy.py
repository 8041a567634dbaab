"""Several package indexes: the same outcome with uv and with pip, over real indexes on a real socket."""

import base64
import functools
import os
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
from workers.builders import Build
from workers.builders.installers import find_installer
from workers.builders.venv import VenvBuilder
from workers.context import JobContext
from workers.sources import Project

ContextMaker = Callable[..., JobContext]


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


_PASSWORD = "w0rd"
_AUTHORIZATION = "Basic " + base64.b64encode(f"ada:{_PASSWORD}".encode()).decode()


class _Indexes(SimpleHTTPRequestHandler):
    """Directories as indexes: `locked` with a password, `broken` not at all."""

    def do_GET(self) -> None:
        if self.path.startswith("/broken/"):
            self.send_error(503)
        elif self.path.startswith("/locked/") and self.headers.get("Authorization") != _AUTHORIZATION:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="index"')
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name in the standard library)
        """Say nothing."""


@pytest.fixture
def indexes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address below which `main`, `extra` and `locked` are; nothing else names an index."""
    for index in ("extra", "locked"):
        add_wheel(tmp_path / "indexes" / index, "foopkg", "1.0")
        add_wheel(tmp_path / "indexes" / index, "torchy", "2.1")
    add_wheel(tmp_path / "indexes" / "main", "foopkg", "2.0")
    add_wheel(tmp_path / "indexes" / "main", "torchy", "2.0")
    add_wheel(tmp_path / "indexes" / "main", "other", "1.0")
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with serving(LocalServer(functools.partial(_Indexes, directory=str(tmp_path / "indexes")))) as server:  # type: ignore[arg-type]
        yield server.url


#: Ways in which a host names an index, and in which a project does.
SELDOM = [
    ("a variable", "--index-url"),
    ("a file", "--extra-index-url"),
    ("an argument", "--extra-index-url"),
    ("an argument", "--index-url"),
]


@pytest.fixture(params=["uv", "pip"])
def tool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "pip":
        monkeypatch.setattr("ipc.own_uv.shutil.which", lambda *_args, **_kwargs: None)
    return str(request.param)


def job(
    make_context: ContextMaker, tmp_path: Path, requirements: str, pip_args: tuple[str, ...] = ()
) -> tuple[Project, JobContext]:
    context = make_context(venv=VenvConfig(cache_dir=str(tmp_path / "venvs"), pip_args=pip_args))
    (context.work / "requirements.txt").write_text(requirements)
    return Project(context.work), context


def versions(build: Build, *names: str) -> str:
    text = f"import importlib; print(*(importlib.import_module(name).VERSION for name in {names!r}))"
    return output_of(build, "python", "-c", text)


def warnings(heard: Heard) -> list[str]:
    return [event.message for event in heard if isinstance(event, WarningRaised)]


def name_for_the_host(tool: str, how: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "a variable":
        monkeypatch.setenv({"uv": "UV_DEFAULT_INDEX", "pip": "PIP_INDEX_URL"}[tool], url)
    elif how == "a variable of an extra one":
        monkeypatch.setenv({"uv": "UV_EXTRA_INDEX_URL", "pip": "PIP_EXTRA_INDEX_URL"}[tool], url)
    elif tool == "pip":
        write(tmp_path / "home" / ".config" / "pip" / "pip.conf", f"[global]\nindex-url = {url}\n")
    elif how == "a file":
        write(tmp_path / "home" / ".config" / "uv" / "uv.toml", f'[[index]]\nurl = "{url}"\ndefault = true\n')


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text)


@pytest.mark.timeout(240)
def test_the_projects_own_indexes_are_one(make_context: ContextMaker, tmp_path: Path, indexes: str, tool: str) -> None:
    asked = f"--index-url {indexes}/main/\n--extra-index-url {indexes}/extra/\ntorchy==2.1\nfoopkg>=2.0\n"

    build = VenvBuilder().build(*job(make_context, tmp_path, asked))

    assert versions(build, "foopkg", "torchy") == "2.0 2.1", tool


@pytest.mark.timeout(240)
def test_the_hosts_own_indexes_are_one(
    make_context: ContextMaker, tmp_path: Path, indexes: str, tool: str, monkeypatch: pytest.MonkeyPatch, heard: Heard
) -> None:
    name_for_the_host(tool, "a variable", f"{indexes}/main/", tmp_path, monkeypatch)
    name_for_the_host(tool, "a variable of an extra one", f"{indexes}/extra/", tmp_path, monkeypatch)

    build = VenvBuilder().build(*job(make_context, tmp_path, "torchy==2.1\nfoopkg>=2.0\n"))

    assert (versions(build, "foopkg", "torchy"), warnings(heard)) == ("2.0 2.1", [])


@pytest.mark.timeout(240)
def test_a_project_with_something_to_build_has_the_same_indexes(
    make_context: ContextMaker, tmp_path: Path, indexes: str, tool: str
) -> None:
    asked = f"--index-url {indexes}/main/\n--extra-index-url {indexes}/extra/\ntorchy==2.1\nfoopkg>=2.0\n"

    build = VenvBuilder().build(*job(make_context, tmp_path, f"--no-binary=nothing\n{asked}"))

    assert (versions(build, "foopkg", "torchy"), build.cache_locks) == ("2.0 2.1", ()), tool


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("how", "option"),
    [
        ("a variable", "--extra-index-url"),
        ("a file", "--index-url"),
        *(pytest.param(how, option, marks=pytest.mark.long) for how, option in SELDOM),
    ],
)
def test_an_index_of_the_project_takes_no_name_of_the_hosts(
    make_context: ContextMaker,
    tmp_path: Path,
    indexes: str,
    heard: Heard,
    tool: str,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
    option: str,
) -> None:
    arguments = (f"--index-url={indexes}/extra/",) if how == "an argument" else ()
    if not arguments:
        name_for_the_host(tool, how, f"{indexes}/extra/", tmp_path, monkeypatch)

    asked = f"{option} {indexes}/main/\nfoopkg\ntorchy\nother\n"
    build = VenvBuilder().build(*job(make_context, tmp_path, asked, arguments))

    assert versions(build, "foopkg", "torchy", "other") == "1.0 2.1 1.0"
    assert [one[:56] for one in warnings(heard)] == ["This host and the project both name package indexes: a p"]


@pytest.mark.timeout(240)
def test_an_extra_index_of_the_host_comes_first(
    make_context: ContextMaker, tmp_path: Path, indexes: str, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_for_the_host(tool, "a variable of an extra one", f"{indexes}/extra/", tmp_path, monkeypatch)

    build = VenvBuilder().build(*job(make_context, tmp_path, f"--index-url {indexes}/main/\nfoopkg\nother\n"))

    assert versions(build, "foopkg", "other") == "1.0 1.0"


@pytest.mark.timeout(240)
def test_versions_that_the_first_index_has_not_are_in_none(
    make_context: ContextMaker, tmp_path: Path, indexes: str, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_for_the_host(tool, "a variable", f"{indexes}/extra/", tmp_path, monkeypatch)

    with pytest.raises(BuildError, match="foopkg"):
        VenvBuilder().build(
            *job(make_context, tmp_path, f"--extra-index-url {indexes}/main/\nfoopkg>=2.0\ntorchy==2.1\n")
        )


@pytest.mark.timeout(240)
def test_an_index_that_does_not_answer_is_not_passed_over(
    make_context: ContextMaker, tmp_path: Path, indexes: str, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_for_the_host(tool, "a variable", f"{indexes}/broken/", tmp_path, monkeypatch)

    with pytest.raises(BuildError, match="503"):
        VenvBuilder().build(*job(make_context, tmp_path, f"--extra-index-url {indexes}/main/\nfoopkg\n"))


@pytest.mark.timeout(240)
def test_an_index_with_a_password_comes_first_too(
    make_context: ContextMaker, tmp_path: Path, indexes: str, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    locked = indexes.replace("://", f"://ada:{_PASSWORD}@") + "/locked/"
    name_for_the_host(tool, "a variable", locked, tmp_path, monkeypatch)

    build = VenvBuilder().build(*job(make_context, tmp_path, f"--extra-index-url {indexes}/main/\nfoopkg\nother\n"))

    assert versions(build, "foopkg", "other") == "1.0 1.0"


@pytest.mark.timeout(240)
def test_what_is_built_has_the_hosts_index_first_or_is_refused(
    make_context: ContextMaker, tmp_path: Path, indexes: str, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_for_the_host(tool, "a file", f"{indexes}/extra/", tmp_path, monkeypatch)
    asked = f"--no-binary=nothing\n--extra-index-url {indexes}/main/\nfoopkg\nother\n"

    if tool == "uv":
        build = VenvBuilder().build(*job(make_context, tmp_path, asked))
        assert versions(build, "foopkg", "other") == "1.0 1.0"
    else:
        with pytest.raises(BuildError, match="has the option --no-binary; and in one of the job's own, pip"):
            VenvBuilder().build(*job(make_context, tmp_path, asked))


def test_another_uv_on_the_path_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipc.own_uv.sys.executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(Path(shutil.which("uv") or "/usr/bin/uv").parent), prepend=":")

    assert find_installer("/usr/bin/python3", ()).name == "pip"
