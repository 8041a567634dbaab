"""Environments built by the real pip and the real uv from a wheel made here, without any network."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from ipc.errors import BuildError, JobCancelled
from ipc.settings import VenvConfig
from ipc.work_order import JobUser, write_order
from launchd.agent.job_users import named_user
from tests.support.job_contexts import Heard
from tests.support.waiting import wait_until
from workers.builders import Build
from workers.builders.venv import VenvBuilder
from workers.builders.venv_cache import Entry, EntryLock, trim
from workers.context import JobContext, StopSignal
from workers.sources import Project

ContextMaker = Callable[..., JobContext]
ROOT = Path(__file__).parents[3]
#: The interpreter of the tests may lie where another user cannot go.
SYSTEM_PYTHON = Path("/usr/bin/python3")

REAL_UV = shutil.which("uv", path=f"{os.environ['PATH']}:{Path(sys.executable).parent}")

#: The tool that a test puts in the place of uv.
UV_VARIABLE = "LAUNCHD_TEST_UV"

WORKER = """
import os
import shutil
import sys
from pathlib import Path
from ipc.work_order import read_order
from workers.builders.venv import VenvBuilder
from workers.context import JobContext, StopSignal
from workers.sources import Project

shutil.which = lambda *_arguments, **_options: os.environ["LAUNCHD_TEST_UV"]
context = JobContext(read_order(Path(sys.argv[1])), "", lambda event: None)
VenvBuilder().build(Project(context.work), context)
"""

TRIMMER = """
import json
import sys
from pathlib import Path
from workers.builders.venv_cache import trim

print(json.dumps(trim(Path(sys.argv[1]), int(sys.argv[2]))))
"""


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with one wheel: the package ``tiny``, versions 1 and 2, with a command of that name."""
    directory = tmp_path_factory.mktemp("wheels")
    for version in ("1", "2"):
        write_wheel(directory, version)
    return directory


def write_wheel(directory: Path, version: str) -> None:
    info = f"tiny-{version}.dist-info"
    files = {
        "tiny.py": f"VERSION = {version!r}\ndef main():\n    print('tiny', VERSION)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\ntiny = tiny:main\n",
    }
    record = "".join(f"{name},,\n" for name in (*files, f"{info}/RECORD"))
    with zipfile.ZipFile(directory / f"tiny-{version}-py3-none-any.whl", "w") as wheel:
        for name, text in (*files.items(), (f"{info}/RECORD", record)):
            wheel.writestr(name, text)


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "venvs"


@pytest.fixture
def make_job(make_context: ContextMaker, cache: Path, wheels: Path) -> Callable[..., tuple[Project, JobContext]]:
    """Jobs with a ``requirements.txt``, on a host whose pip knows the wheels of the test alone."""

    def make(requirements: str = "tiny\n", name: str = "launchd-0-1", **options: object) -> tuple[Project, JobContext]:
        arguments = ("--no-index", "--find-links", str(wheels))
        venv = VenvConfig(cache_dir=str(cache), pip_args=arguments)
        context = make_context(name, venv=msgspec.structs.replace(venv, **options))
        (context.work / "requirements.txt").write_text(requirements)
        return Project(context.work), context

    return make


@pytest.fixture
def without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ipc.own_uv.shutil.which", lambda *_args, **_kwargs: None)


def output_of(build: Build, *command: str) -> str:
    path = ":".join((*build.path, os.environ["PATH"]))
    done = subprocess.run(command, env={"PATH": path}, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def environments(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.is_dir())


JobMaker = Callable[..., tuple[Project, JobContext]]


def test_uv_builds_an_environment_in_which_the_job_runs(make_job: JobMaker) -> None:
    build = VenvBuilder().build(*make_job())

    assert output_of(build, "tiny") == "tiny 2"
    assert output_of(build, "python", "-c", "import tiny, sys; print(tiny.VERSION, sys.prefix)") == (
        f"2 {build.environment['VIRTUAL_ENV']}"
    )


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("without_uv")
def test_pip_builds_one_where_there_is_no_uv(make_job: JobMaker) -> None:
    """Whatever modules the project has: they are nothing to pip."""
    project, context = make_job("tiny==1\n")
    for module in ("logging", "queue", "venv"):
        (project.directory / f"{module}.py").write_text("raise SystemExit('not meant for you')")

    assert output_of(VenvBuilder().build(project, context), "tiny") == "tiny 1"


def test_the_dependencies_of_a_project_file_are_installed(make_job: JobMaker) -> None:
    project, context = make_job("")
    (project.directory / "pyproject.toml").write_text('[project]\nname = "a"\ndependencies = ["tiny==1"]\n')

    assert output_of(VenvBuilder().build(project, context), "tiny") == "tiny 1"


def test_the_same_requirements_share_an_environment(make_job: JobMaker, heard: Heard) -> None:
    first = VenvBuilder().build(*make_job(name="launchd-1-1"))
    said = len(heard.progress())

    second = VenvBuilder().build(*make_job(name="launchd-2-1"))

    assert second == first
    assert heard.progress()[said:] == ["resolving the requirements"]


def test_other_requirements_or_options_are_another_environment(make_job: JobMaker, cache: Path, wheels: Path) -> None:
    VenvBuilder().build(*make_job("tiny==1\n", name="launchd-1-1"))
    VenvBuilder().build(*make_job("tiny==2\n", name="launchd-2-1"))
    VenvBuilder().build(*make_job("tiny==2\n", name="launchd-3-1"))
    only_wheels = ("--no-index", "--find-links", str(wheels), "--only-binary", ":all:")
    VenvBuilder().build(*make_job("tiny==2\n", name="launchd-4-1", pip_args=only_wheels))

    assert len(environments(cache)) == 3


@pytest.mark.parametrize(("requirements", "needed"), [("tiny", True), ("", False)])
def test_it_is_needed_where_there_are_requirements(requirements: str, needed: bool, make_job: JobMaker) -> None:
    assert VenvBuilder().needed(*make_job(requirements)) is needed


def test_a_requirement_that_does_not_exist_fails_with_the_tools_own_words(make_job: JobMaker, cache: Path) -> None:
    with pytest.raises(BuildError, match=r"environment from requirements\.txt could not be built") as failure:
        VenvBuilder().build(*make_job("no-such-package\n"))

    assert "no-such-package was not found" in failure.value.message
    assert "no-such-package" in (failure.value.detail or "")
    assert failure.value.hint
    assert environments(cache) == []


def test_an_interpreter_that_does_not_exist_is_named(make_job: JobMaker) -> None:
    with pytest.raises(BuildError, match="/no/such/python is not on this host"):
        VenvBuilder().build(*make_job(python="/no/such/python"))


def test_a_build_without_progress_is_ended(make_job: JobMaker, slow_uv: Path, cache: Path) -> None:
    with pytest.raises(BuildError, match=r"made no progress for 0\.3 s"):
        VenvBuilder().build(*make_job(no_progress_timeout_seconds=0.3))

    assert slow_uv.exists()
    assert environments(cache) == []


def test_two_workers_build_once(make_job: JobMaker, counting_uv: Path) -> None:
    builds: list[Build] = []
    jobs = [make_job(name=f"launchd-{number}-1") for number in range(3)]
    threads = [threading.Thread(target=lambda job=job: builds.append(VenvBuilder().build(*job))) for job in jobs]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(builds) == 3
    assert builds.count(builds[0]) == 3
    assert counting_uv.read_text().count("venv") == 1


def test_who_waits_for_another_build_says_so_and_can_be_stopped(
    make_job: JobMaker, heard: Heard, slow_uv: Path
) -> None:
    _, other = make_job(name="launchd-other-1")
    builder = start_worker(other)
    wait_until(slow_uv.exists, what="the begin of the other build")
    project, context = make_job()
    stopper = threading.Thread(target=cancel_once_waiting, args=(context, heard))
    stopper.start()

    with pytest.raises(JobCancelled):
        VenvBuilder().build(project, context)

    stopper.join()
    builder.kill()
    builder.wait()


def cancel_once_waiting(context: JobContext, heard: Heard) -> None:
    wait_until(lambda: any("waiting for another job" in text for text in heard.progress()), what="the wait")
    context.interrupt(StopSignal("because I say so", 1.0))


def start_worker(context: JobContext) -> subprocess.Popen[bytes]:
    """Start another worker's process, which builds the environment of its job."""
    write_order(context.order)
    return subprocess.Popen([sys.executable, "-c", WORKER, str(context.directory)], cwd=ROOT)


def test_a_killed_builder_leaves_nothing_that_is_used(make_job: JobMaker, cache: Path, slow_uv: Path) -> None:
    _, context = make_job(name="launchd-killed-1")
    builder = start_worker(context)
    wait_until(slow_uv.exists, what="the begin of the build")
    (half,) = environments(cache)

    builder.kill()
    builder.wait()

    assert not Entry(cache, half).is_complete()
    wait_until(lambda: half in trim(cache, 10**9), what="its removal, once its tool is gone too")
    assert environments(cache) == []


def test_the_least_recently_used_are_removed_but_none_in_use(make_job: JobMaker, cache: Path) -> None:
    names = []
    for number, requirement in enumerate(("tiny==1", "tiny==2")):
        build = VenvBuilder().build(*make_job(f"{requirement}\n", name=f"launchd-{number}-1"))
        names.append(Path(build.environment["VIRTUAL_ENV"]).name)
        os.utime(cache / f"{names[-1]}.json", (number, number))
    # This process still holds both, as a worker would; another one asks.
    assert trim_elsewhere(cache, 0) == []

    assert trim_elsewhere(copy_held_by_nobody(cache), 0) == names


@pytest.fixture
def agents_umask() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.mark.usefixtures("agents_umask")
@pytest.mark.root
@pytest.mark.skipif(not SYSTEM_PYTHON.exists(), reason="this machine has no Python of its own")
def test_what_jobs_share_belongs_to_none_of_their_users(make_context: ContextMaker) -> None:
    with tempfile.TemporaryDirectory() as directory:
        # Other users may pass through here, unlike through pytest's own directories.
        shared = Path(directory)
        shared.chmod(0o755)
        write_wheel(shared, "1")
        for wheel in shared.iterdir():
            wheel.chmod(0o644)
        arguments = ("--no-index", "--find-links", str(shared))
        venv = VenvConfig(cache_dir=str(shared / "venvs"), pip_args=arguments, python=str(SYSTEM_PYTHON))
        job = shared / "job"
        users = {"user": named_user("nobody"), "install_user": JobUser(63999, 63999, "/nonexistent")}
        context = make_context(venv=venv, directory=str(job), **users)
        context.work.mkdir(parents=True)
        job.chmod(0o711)
        project = context.work / "pyproject.toml"
        project.write_text('project = {dependencies = ["tiny"]}')
        for path in (context.work, project):
            shutil.chown(path, "nobody")

        build = VenvBuilder().build(Project(context.work), context)

        environment = Path(build.environment["VIRTUAL_ENV"])
        assert {path.stat().st_uid for path in (environment, *environment.rglob("tiny*"))} == {63999}
        assert {path.stat().st_uid for path in (shared / "venvs").iterdir() if path.is_file()} == {0}
        assert output_of(build, "tiny") == "tiny 1"


def test_use_makes_an_environment_recent(cache: Path) -> None:
    cache.mkdir()
    for number, name in enumerate(("a", "b", "c")):
        make_entry(cache, name, used_at=number)
    Entry(cache, "a").note_use()

    size = Entry(cache, "a").size_bytes()
    assert trim(cache, 2 * size) == ["b"]
    assert environments(cache) == ["a", "c"]


def test_what_was_not_used_for_long_is_removed(cache: Path) -> None:
    cache.mkdir()
    for name, used_at in (("old", time.time() - 100), ("new", time.time())):
        make_entry(cache, name, used_at=used_at)

    assert trim(cache, 1 << 40) == []
    assert trim(cache, 1 << 40, keep_seconds=50.0) == ["old"]
    assert environments(cache) == ["new"]


def test_an_environment_is_removed_however_deep_it_is(cache: Path) -> None:
    cache.mkdir()
    make_entry(cache, "deep", used_at=0)
    place = cache / "deep"
    for _ in range(1900):
        place /= "d"
        place.mkdir()
    make_entry(cache, "other", used_at=1)

    assert trim(cache, Entry(cache, "other").size_bytes()) == ["deep"]
    assert environments(cache) == ["other"]


def make_entry(cache: Path, name: str, used_at: float) -> None:
    entry = Entry(cache, name)
    EntryLock(entry.lock_path).close()
    entry.path.mkdir()
    (entry.path / "file").write_bytes(bytes(100_000))
    entry.complete()
    os.utime(cache / f"{name}.json", (used_at, used_at))


def copy_held_by_nobody(cache: Path) -> Path:
    return Path(shutil.copytree(cache, cache.with_name("copy"), symlinks=True))


def trim_elsewhere(cache: Path, max_bytes: int) -> list[str]:
    """Trim from another process."""
    arguments = [sys.executable, "-c", TRIMMER, str(cache), str(max_bytes)]
    done = subprocess.run(arguments, cwd=ROOT, check=True, capture_output=True, text=True)
    removed: list[str] = json.loads(done.stdout)
    return removed


@pytest.fixture
def slow_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A uv that begins an environment and never ends it; returns the file that it makes at its begin."""
    begun = tmp_path / "begun"
    put_in_place_of_uv(tmp_path, monkeypatch, f'[ "$1" = venv ] || exec {REAL_UV} "$@"; touch {begun}; exec sleep 60')
    return begun


@pytest.fixture
def counting_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The real uv behind a note of each call; returns the file with the notes."""
    notes = tmp_path / "notes"
    put_in_place_of_uv(tmp_path, monkeypatch, f'echo "$1" >> {notes}; exec {REAL_UV} "$@"')
    return notes


def put_in_place_of_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "uv").write_text(f"#!/bin/sh\n{script}\n")
    (tools / "uv").chmod(0o755)
    monkeypatch.setattr("ipc.own_uv.shutil.which", lambda *_args, **_kwargs: str(tools / "uv"))
    monkeypatch.setenv(UV_VARIABLE, str(tools / "uv"))
