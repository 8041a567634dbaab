"""What jobs share is not written by any of them, runs no code while it is made, and is found by what it holds."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from ipc.errors import BuildError
from ipc.messages import Event
from ipc.policy_rules import PolicyRules
from ipc.settings import VenvConfig
from ipc.work_order import JobUser
from tests.support.git_origin import Origin
from tests.support.job_numbers import NUMBERS
from tests.support.orders import an_order
from tests.support.packages import (
    PackageIndex,
    package_index,
    project_files,
    write_files,
    write_sdist,
    write_wheel,
)
from workers.builders import Build
from workers.builders.venv import VenvBuilder
from workers.context import JobContext
from workers.sources import Project

PASSWORD = "word-of-the-index"
INSTALLER = JobUser(63999, 63999, "/nonexistent")
#: The interpreter of the tests may lie where other users cannot go.
SYSTEM_PYTHON = "/usr/bin/python3"
as_root = pytest.mark.root
#: pip takes its time to make an environment.
pytestmark = pytest.mark.timeout(300)
each_tool = pytest.mark.parametrize("tool", ["uv", "pip"])


class Host:
    """A host whose jobs have users of their own where ``has_users``, and what was heard of their builds."""

    def __init__(self, directory: Path, *, has_users: bool) -> None:
        self.directory = directory
        self.heard: list[Event] = []
        self.cache = directory / "venvs"
        #: Who built what, as the build backends of the tests write it.
        self.log = directory / "builders"
        self.log.touch()
        self.log.chmod(0o666)
        self._has_users = has_users
        self._jobs = 0

    def job(self, files: dict[str, str | bytes], **venv: object) -> tuple[Project, JobContext]:
        """A job with ``files`` in its project."""
        self._jobs += 1
        directory = self.directory / "jobs" / f"launchd-{self._jobs}-1"
        work = directory / "work"
        work.mkdir(parents=True)
        for path in (self.directory / "jobs", directory, work):
            path.chmod(0o755)
        write_files(work, {name: text for name, text in files.items() if isinstance(text, str)})
        for name, data in files.items():
            if isinstance(data, bytes):
                (work / name).write_bytes(data)
        order = an_order(
            directory,
            directory.name,
            venv=VenvConfig(cache_dir=str(self.cache), python=self._python(), **venv),  # type: ignore[arg-type]
            user=self._user(work),
            install_user=INSTALLER if self._has_users else None,
            policy=PolicyRules(allow_local_git=True),
        )
        return Project(work), JobContext(order, "key1", self.heard.append)

    def _python(self) -> str | None:
        return SYSTEM_PYTHON if self._has_users else None

    def _user(self, work: Path) -> JobUser | None:
        if not self._has_users:
            return None
        user = JobUser(NUMBERS[self._jobs], NUMBERS[self._jobs], "/nonexistent")
        for path in (work, *work.rglob("*")):
            os.chown(path, user.uid, user.gid, follow_symlinks=False)
        return user

    def builders(self) -> list[dict[str, object]]:
        """Who ran build backends, and in which environments."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users may pass through, unlike pytest's own."""
    with TemporaryDirectory(prefix="launchd-attacks-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def host(place: Path) -> Host:
    return Host(place, has_users=False)


@pytest.fixture
def host_with_users(place: Path) -> Host:
    return Host(place, has_users=True)


@pytest.fixture
def index(tmp_path: Path) -> Iterator[PackageIndex]:
    """A package index with ``tiny`` 1 and 2."""
    packages = tmp_path / "packages"
    packages.mkdir()
    for version in ("1", "2"):
        write_wheel(packages, "tiny", version)
    with package_index(packages) as serving:
        yield serving


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of this machine for pip and uv are not the tests'."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Returns a function that makes pip or uv the installer."""

    def choose(tool: str) -> None:
        if tool == "pip":
            monkeypatch.setattr("ipc.own_uv.shutil.which", lambda *_args, **_kwargs: None)

    return choose


def build(job: tuple[Project, JobContext]) -> Build:
    return VenvBuilder().build(*job)


def environment(built: Build) -> Path:
    return Path(built.environment["VIRTUAL_ENV"])


def said(built: Build, code: str) -> str:
    """What ``code`` prints in the environment."""
    done = subprocess.run([environment(built) / "bin" / "python", "-c", code], check=True, capture_output=True)
    return done.stdout.decode().strip()


def is_shared(host: Host, built: Build) -> bool:
    return environment(built).parent == host.cache


# -- what one job writes, no other reads


@as_root
def test_a_job_cannot_write_into_a_shared_environment(host_with_users: Host, index: PackageIndex) -> None:
    files: dict[str, str | bytes] = {"requirements.txt": f"-i {index.simple}\ntiny==1\n"}
    first = host_with_users.job(files)
    shared = environment(build(first))
    user = first[1].order.user
    assert user is not None
    [site] = shared.glob("lib/python*/site-packages")
    as_user: dict[str, Any] = {"user": user.uid, "group": user.gid, "extra_groups": [], "capture_output": True}
    attempts = [f"echo import evil > {site}/evil.pth", f"echo evil >> {site}/tiny.py", f"chmod 777 {site}"]
    attempts += [f"ln -sf /tmp/evil {shared}/bin/python", f"mv {shared} {shared}.old", f"echo > {shared}.lock"]
    attempts += [f"cat {shared}.lock", f"echo > {host_with_users.cache}/new", f"find {shared} -writable | grep -v ' '"]
    for tried in attempts:
        done = subprocess.run(["sh", "-c", tried], check=False, **as_user)
        links = [line for line in done.stdout.decode().split() if not Path(line).is_symlink()]
        assert done.returncode != 0 or (tried.startswith("find") and not links), tried

    second = build(host_with_users.job(files))

    assert environment(second) == shared
    assert said(second, "import tiny; print(tiny.VERSION)") == "1"


@as_root
def test_what_has_to_be_built_is_built_as_the_jobs_user_for_that_job(host_with_users: Host) -> None:
    module = "WHO = 'A'\n"
    jobs = [
        host_with_users.job({"requirements.txt": "./lib\n", **lib(host_with_users, module)}),
        host_with_users.job({"requirements.txt": "./lib\n", **lib(host_with_users, module)}),
    ]

    built = [build(job) for job in jobs]

    assert environment(built[0]) != environment(built[1])
    assert [noted["uid"] for noted in host_with_users.builders()] == [NUMBERS[1], NUMBERS[2]]
    for one, (_, context) in zip(built, jobs, strict=True):
        assert context.order.user is not None
        assert environment(one).stat().st_uid == context.order.user.uid
        assert not environment(one).stat().st_mode & 0o077


def lib(host: Host, module: str) -> dict[str, str | bytes]:
    files = project_files("mylib", "1.0", module, host.log)
    return {f"lib/{name}": text for name, text in files.items()}


# -- what is shared is found by what it holds


def test_two_projects_with_other_libraries_of_one_name(host: Host) -> None:
    jobs = [host.job({"requirements.txt": "./lib\n", **lib(host, f"WHO = {who!r}\n")}) for who in ("A", "B")]

    assert [said(build(job), "import mylib; print(mylib.WHO)") for job in jobs] == ["A", "B"]


def test_requirements_in_another_encoding(host: Host, index: PackageIndex) -> None:
    texts = [f"-i {index.simple}\ntiny=={version}\n".encode("utf-16") for version in ("1", "2")]

    built = [build(host.job({"requirements.txt": text})) for text in texts]

    assert [said(one, "import tiny; print(tiny.VERSION)") for one in built] == ["1", "2"]


def test_a_branch_that_moves(host: Host, tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin")
    words = []
    for who in ("before", "after"):
        write_files(origin.path, project_files("mylib", "1.0", f"WHO = {who!r}\n", host.log))
        origin.commit(who)
        built = build(host.job({"requirements.txt": f"mylib @ git+file://{origin.path}@main\n"}))
        words.append(said(built, "import mylib; print(mylib.WHO)"))

    assert words == ["before", "after"]


def test_a_wheel_in_the_repository(host: Host, tmp_path: Path) -> None:
    words = []
    for who in ("A", "B"):
        wheel = write_wheel(tmp_path, "mylib", "1.0", {"mylib.py": f"WHO = {who!r}\n"})
        job = host.job({"requirements.txt": f"./{wheel.name}\n", wheel.name: wheel.read_bytes()})
        words.append(said(build(job), "import mylib; print(mylib.WHO)"))

    assert words == ["A", "B"]


def test_a_wheel_of_another_index_with_the_same_name_and_version(
    host: Host, index: PackageIndex, tmp_path: Path
) -> None:
    evil = tmp_path / "evil"
    evil.mkdir()
    write_wheel(evil, "tiny", "1", {"tiny.py": "VERSION = 'evil'\n"})

    with package_index(evil) as other:
        theirs = build(host.job({"requirements.txt": f"-i {other.simple}\ntiny==1\n"}))
    ours = build(host.job({"requirements.txt": f"-i {index.simple}\ntiny==1\n"}))

    assert said(theirs, "import tiny; print(tiny.VERSION)") == "evil"
    assert said(ours, "import tiny; print(tiny.VERSION)") == "1"
    assert is_shared(host, ours)


# -- no code runs where the host's passwords are


@pytest.fixture
def guarded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackageIndex]:
    """The host's package index, for which the agent has a password."""
    packages = tmp_path / "guarded"
    packages.mkdir()
    write_wheel(packages, "tiny", "1")
    with package_index(packages, ("agent", PASSWORD)) as serving:
        for name in ("PIP_INDEX_URL", "UV_INDEX_URL"):
            monkeypatch.setenv(name, serving.simple_with_login)
        yield serving


@each_tool
@pytest.mark.usefixtures("guarded")
def test_wheels_come_from_an_index_with_a_password(tool: str, host: Host, choose: Callable[[str], None]) -> None:
    choose(tool)

    built = build(host.job({"requirements.txt": "tiny\n"}))

    assert is_shared(host, built)
    assert said(built, "import tiny; print(tiny.VERSION)") == "1"
    assert not files_with(PASSWORD, host.cache)


@as_root
@each_tool
@pytest.mark.usefixtures("guarded")
def test_a_build_backend_sees_no_password_of_an_index(
    tool: str, host_with_users: Host, choose: Callable[[str], None]
) -> None:
    choose(tool)

    build(host_with_users.job({"requirements.txt": "./lib\n", **lib(host_with_users, "")}))

    [noted] = host_with_users.builders()
    assert PASSWORD not in json.dumps(noted)


@as_root
def test_the_administrator_can_pass_it_on(host_with_users: Host, guarded: PackageIndex) -> None:
    files = {"requirements.txt": "./lib\ntiny\n", **lib(host_with_users, "")}

    built = build(host_with_users.job(files, pass_index_settings=True))

    assert said(built, "import tiny; print(tiny.VERSION)") == "1"
    assert guarded.simple_with_login in json.dumps(host_with_users.builders())


@as_root
@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("variable", ["${PIP_INDEX_URL}", "${UV_INDEX_URL}"])
def test_requirements_cannot_send_a_password_elsewhere(
    variable: str, host_with_users: Host, index: PackageIndex
) -> None:
    text = f"--extra-index-url {index.url}/{variable}\nevil @ {index.url}/{variable}/evil-1-py3-none-any.whl\n"

    with pytest.raises(BuildError) as failure:
        build(host_with_users.job({"requirements.txt": text}))

    assert PASSWORD not in f"{index.requests} {failure.value.message} {failure.value.detail}"


@as_root
@pytest.mark.usefixtures("guarded")
@pytest.mark.parametrize("variable", ["${PIP_INDEX_URL}", "${UV_INDEX_URL}"])
def test_the_metadata_of_a_wheel_cannot_send_a_password_elsewhere(
    variable: str, host_with_users: Host, index: PackageIndex
) -> None:
    needs = f"evil @ {index.url}/{variable}/evil-1-py3-none-any.whl"
    write_wheel(index.directory, "bait", "1", requires=(needs,))

    with pytest.raises(BuildError) as failure:
        build(host_with_users.job({"requirements.txt": f"bait @ {index.url}/files/bait-1-py3-none-any.whl\n"}))

    assert PASSWORD not in f"{index.requests} {failure.value.message} {failure.value.detail}"


@as_root
@each_tool
def test_a_source_that_a_wheel_needs_is_not_built_where_requirements_are_resolved(
    tool: str, host_with_users: Host, index: PackageIndex, choose: Callable[[str], None]
) -> None:
    choose(tool)
    write_sdist(index.directory, "evil", "1", host_with_users.log)
    write_wheel(index.directory, "bait", "1", requires=(f"evil @ {index.url}/files/evil-1.tar.gz",))
    job = host_with_users.job({"requirements.txt": f"bait @ {index.url}/files/bait-1-py3-none-any.whl\n"})

    built = build(job)

    assert not is_shared(host_with_users, built)
    assert {noted["uid"] for noted in host_with_users.builders()} == {NUMBERS[1]}


def files_with(text: str, directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file() and text.encode() in path.read_bytes()]


# -- what is read, is read as the job's user


@as_root
@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml", "requirements.frozen.txt"])
def test_links_lead_where_the_jobs_user_may_go(name: str, host_with_users: Host, place: Path) -> None:
    secret = place / "secret"
    secret.write_text("top==secret\n[")
    secret.chmod(0o600)
    project, context = host_with_users.job({})
    (project.directory / name).symlink_to(secret)

    with pytest.raises(BuildError) as failure:
        build((project, context))

    assert "top" not in f"{failure.value.message} {failure.value.detail}"


@pytest.mark.parametrize("text", ["a." * 130_000 + "a = 1", "[[[" * 300_000])
def test_a_project_that_its_parser_cannot_bear_fails_alone(
    text: str, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The parser would use up any limit.
    monkeypatch.setattr("workers.builders.reader._LIMIT_SECONDS", 3)
    with pytest.raises(BuildError, match=r"cannot be read|could not be read"):
        build(host.job({"pyproject.toml": text}))
