"""Which interpreter a project gets: real ones where two are needed, else programs that say a version."""

import functools
import hashlib
import json
import platform
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import msgspec
import pytest

from ipc.errors import BuildError
from ipc.settings import VenvConfig
from ipc.work_order import JobUser
from launchd.agent.job_users import named_user
from tests.support.http_servers import LocalServer, serving
from tests.unit.workers.test_venv import SYSTEM_PYTHON, output_of
from workers.builders.interpreters import WantedPython, find_python
from workers.builders.venv import VenvBuilder
from workers.context import JobContext
from workers.sources import Project

ContextMaker = Callable[..., JobContext]


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    return tmp_path


def interpreter(directory: Path, name: str, says: str) -> str:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{says}\n")
    path.chmod(0o755)
    return str(path)


def test_the_usual_one_where_it_fits(programs: Path) -> None:
    usual = interpreter(programs, "usual", "echo 3.11.4")
    newer = interpreter(programs, "python3.13", "echo 3.13.1")

    for wanted in (WantedPython(), WantedPython(">=3.10"), WantedPython(">=3.10,<4", "3.11"), WantedPython("==3.11.4")):
        assert find_python(wanted, usual, (newer,), str(programs)) == usual


def test_then_those_of_the_configuration_then_those_on_the_path(programs: Path) -> None:
    usual = interpreter(programs, "usual", "echo 3.11.4")
    configured = interpreter(programs, "configured", "echo 3.12.1")
    interpreter(programs, "python3.13", "echo 3.13.0rc1")
    interpreter(programs, "python3.14", "echo no such version >&2; exit 127")

    assert find_python(WantedPython(">=3.12"), usual, (configured,), str(programs)) == configured
    assert find_python(WantedPython(">=3.13.0rc1"), usual, (configured,), str(programs)) == f"{programs}/python3.13"
    assert find_python(WantedPython(None, "3.13"), usual, (), str(programs)) == f"{programs}/python3.13"


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (WantedPython(">=3.13"), "requires-python >=3.13. The host has 3.11, 3.12."),
        (WantedPython(None, "3.9"), "the recorded version 3.9. The host has"),
        (WantedPython(">=3.12", "3.11"), "requires-python >=3.12 and the recorded version 3.11."),
    ],
)
def test_a_host_without_one_says_what_it_has(programs: Path, wanted: WantedPython, said: str) -> None:
    usual = interpreter(programs, "usual", "echo 3.11.4")
    other = interpreter(programs, "other", "echo 3.12.1")

    with pytest.raises(BuildError) as failure:
        find_python(wanted, usual, (other, "/nonexistent/python"), "/nonexistent")
    assert said in failure.value.message
    assert failure.value.hint


def test_a_range_that_is_none_is_a_sentence(programs: Path) -> None:
    with pytest.raises(BuildError, match="is no range of versions"):
        find_python(WantedPython("latest"), interpreter(programs, "usual", "echo 3.11.4"), (), "")


@pytest.mark.timeout(180)
@pytest.mark.parametrize("requirements", ["", "# none\n"])
def test_a_job_runs_in_the_version_that_its_project_asks_for(
    make_context: ContextMaker, tmp_path: Path, requirements: str
) -> None:
    asked = [SYSTEM_PYTHON, "-c", "import platform; print(platform.python_version())"]
    version = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    if version == platform.python_version():
        pytest.skip("this host has no second Python")
    context = make_context(venv=VenvConfig(cache_dir=str(tmp_path / "venvs"), pythons=(str(SYSTEM_PYTHON),)))
    (context.work / "pyproject.toml").write_text(f'[project]\nname = "a"\nrequires-python = "=={version}"\n')
    (context.work / "requirements.txt").write_text(requirements)
    builder, project = VenvBuilder(), Project(context.work)

    assert builder.needed(project, context)
    build = builder.build(project, context)

    assert output_of(build, "python", "-c", "import platform; print(platform.python_version())") == version


def test_a_project_that_asks_for_nothing_needs_no_environment(make_context: ContextMaker) -> None:
    context = make_context()
    (context.work / "pyproject.toml").write_text('[project]\nname = "a"\nrequires-python = ">=3.8"\n')

    assert not VenvBuilder().needed(Project(context.work), context)
    running = ".".join(map(str, sys.version_info[:2]))
    assert not VenvBuilder().needed(Project(context.work, python=running), context)
    with pytest.raises(BuildError, match=r"the recorded version 3\.1\."):
        VenvBuilder().needed(Project(context.work, python="3.1"), context)


def packed_interpreter(directory: Path) -> tuple[str, Path]:
    """Pack the Python of the tests as uv's own come; return its version and the list in which uv looks for it.

    It stands for one of uv's, which lie on a server that tests do not reach.
    """
    version, minor = platform.python_version(), ".".join(map(str, sys.version_info[:2]))
    archive = directory / "python.tar.gz"
    with tarfile.open(archive, "w:gz", compresslevel=1) as file:
        file.add(Path(sys.executable).resolve(), f"python/bin/python{minor}")
        # Where an interpreter has one, it looks for it here.
        for library in Path(sys.base_prefix, "lib").glob("libpython3.*.so*"):
            file.add(library, f"python/lib/{library.name}")
        file.add(sysconfig.get_path("stdlib"), f"python/lib/python{minor}", filter=_without_tests)
    entry = {
        "name": "cpython", "arch": {"family": platform.machine(), "variant": None}, "os": "linux", "libc": "gnu",
        "major": 3, "minor": sys.version_info.minor, "patch": sys.version_info.micro, "prerelease": "",
        "url": "http://ADDRESS/python.tar.gz", "sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
        "variant": None, "build": "20260101",
    }  # fmt: skip
    listed = directory / "list.json"
    listed.write_text(json.dumps({f"cpython-{version}-linux-{platform.machine()}-gnu": entry}))
    return version, listed


def _without_tests(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    left_out = {"test", "tests", "site-packages", "dist-packages", "__pycache__", "idlelib", "tkinter"}
    # Debian's has a link to its settings, which uv would not unpack.
    leads_out = member.issym() and member.linkname.startswith("/")
    return None if leads_out or left_out & set(member.name.split("/")) else member


@pytest.fixture
def bare_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> VenvConfig:
    """A host whose one interpreter says that it is an old one; a project asks for that of the tests."""
    monkeypatch.setenv("PATH", "/nonexistent")
    usual = interpreter(tmp_path, "usual", "echo 3.8.1")
    return VenvConfig(cache_dir=str(tmp_path / "venvs"), python=usual)


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The list of a mirror on this host, which uv is told of; it has one version, that of the tests."""
    (tmp_path / "mirror").mkdir()
    _, listed = packed_interpreter(tmp_path / "mirror")
    with serving(LocalServer(functools.partial(QuietFiles, directory=str(tmp_path / "mirror")))) as server:  # type: ignore[arg-type]
        listed.write_text(listed.read_text().replace("http://ADDRESS", server.url))
        monkeypatch.setenv("UV_PYTHON_DOWNLOADS_JSON_URL", f"{server.url}/list.json")
        yield listed


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the name in the standard library)
        """Say nothing."""


def project_of_the_tests_python(context: JobContext) -> Project:
    exactly = f"=={platform.python_version()}"
    (context.work / "pyproject.toml").write_text(f'[project]\nname = "a"\nrequires-python = "{exactly}"\n')
    return Project(context.work)


@pytest.mark.timeout(240)
def test_uv_fetches_an_interpreter_where_it_may(
    make_context: ContextMaker, bare_host: VenvConfig, tmp_path: Path, mirror: Path
) -> None:
    context = make_context(venv=msgspec.structs.replace(bare_host, fetch_pythons=True))
    project = project_of_the_tests_python(context)

    assert VenvBuilder().needed(project, context)
    build = VenvBuilder().build(project, context)

    said = output_of(build, "python", "-c", "import platform, sys; print(platform.python_version(), sys.base_prefix)")
    version, prefix = said.split()
    assert (version, Path(prefix).parent) == (platform.python_version(), tmp_path / "venvs" / "pythons")
    # It is there for the next job, also where nothing can be fetched any more.
    mirror.unlink()
    assert VenvBuilder().build(project, context).environment == build.environment


def test_nothing_is_fetched_unless_the_host_allows_it(make_context: ContextMaker, bare_host: VenvConfig) -> None:
    context = make_context(venv=bare_host)
    project = project_of_the_tests_python(context)

    for ask in (VenvBuilder().needed, VenvBuilder().build):
        with pytest.raises(BuildError, match=r"The host has 3\.8\.") as failure:
            ask(project, context)
        assert "launchd.venv.fetch_pythons" in (failure.value.hint or "")


def test_an_interpreter_that_is_not_what_the_list_says_is_not_taken(
    make_context: ContextMaker, bare_host: VenvConfig, tmp_path: Path, mirror: Path
) -> None:
    (mirror.parent / "python.tar.gz").write_bytes(b"something else")
    context = make_context(venv=msgspec.structs.replace(bare_host, fetch_pythons=True))

    with pytest.raises(BuildError, match="could not be fetched: uv"):
        VenvBuilder().build(project_of_the_tests_python(context), context)
    assert not list((tmp_path / "venvs" / "pythons").glob("cpython-*"))


def test_a_version_that_is_nowhere_is_told(
    make_context: ContextMaker, bare_host: VenvConfig, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mirror.exists()
    context = make_context(venv=msgspec.structs.replace(bare_host, fetch_pythons=True))
    with pytest.raises(BuildError, match=r"the recorded version 3\.2 could not be fetched.*No download found"):
        VenvBuilder().build(Project(context.work, python="3.2"), context)

    monkeypatch.setattr("ipc.own_uv.shutil.which", lambda *_args, **_kwargs: None)
    with pytest.raises(BuildError, match="that takes uv, which this agent does not have"):
        VenvBuilder().build(Project(context.work, python="3.2"), context)


@pytest.mark.root
@pytest.mark.timeout(240)
def test_what_is_fetched_belongs_to_none_of_the_jobs_users(
    make_context: ContextMaker, mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert mirror.exists()
    monkeypatch.setenv("PATH", "/nonexistent")
    with tempfile.TemporaryDirectory() as directory:
        # Other users may pass through here, unlike through pytest's own directories.
        shared = Path(directory)
        shared.chmod(0o755)
        usual = interpreter(shared, "usual", "echo 3.8.1")
        venv = VenvConfig(cache_dir=str(shared / "venvs"), python=usual, fetch_pythons=True)
        users = {"user": named_user("nobody"), "install_user": JobUser(63999, 63999, "/nonexistent")}
        context = make_context(venv=venv, directory=str(shared / "job"), **users)
        context.work.mkdir(parents=True)
        (shared / "job").chmod(0o711)
        project = project_of_the_tests_python(context)
        for path in (context.work, context.work / "pyproject.toml"):
            shutil.chown(path, "nobody")

        build = VenvBuilder().build(project, context)

        fetched = [path for path in (shared / "venvs" / "pythons").rglob("*") if not path.is_symlink()]
        assert {path.stat().st_uid for path in fetched} == {63999}
        writable = [path for path in fetched if path.stat().st_mode & 0o022 and path.name != ".lock"]
        assert writable == []
        asked = ["python", "-c", "import os, sys; print(os.getuid(), os.path.dirname(sys.base_prefix))"]
        done = subprocess.run(
            asked, env={"PATH": build.path[0]}, user="nobody", capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == [str(users["user"].uid), str(shared / "venvs" / "pythons")]
