"""From source code to a running container without a daemon that builds: buildah, a registry, and none; and `noop`."""

import base64
import os
import secrets
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ipc.failpoints import FAILPOINTS
from ipc.settings import NUMBERS_PER_BUILD
from tests.process.test_image_builds import REQUIREMENTS, areas, directory_of, ended, output, push, upload
from tests.support.engine import TestEngine
from tests.support.packages import package_index, write_wheel
from tests.support.python_image import import_python_image, without_settings_of_machine
from tests.support.registries import PASSWORD, USER, Buildah, TestRegistry, require, running_registry
from tests.support.server import Account
from tests.support.testbed import QUICK, Testbed, make_testbed
from tests.support.waiting import wait_until
from workers.builders.buildah import ARCHIVE_FILE

pytestmark = [pytest.mark.engine, pytest.mark.timeout(240)]

HELLO = {"main.py": "print('hello')"}

Configure = Callable[..., None]


@pytest.fixture(scope="module")
def registry() -> Iterator[TestRegistry]:
    """A registry with the image ``python:3.11``."""
    require("docker-registry", "buildah")
    with tempfile.TemporaryDirectory() as name, running_registry(Path(name) / "registry") as running:
        Buildah(Path(name) / "by-hand").push_python(f"{running.name}/python:3.11")
        yield running


@pytest.fixture
def testbed(account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[Testbed]:
    without_settings_of_machine(monkeypatch)
    # Below a directory that the users of builds may enter, unlike pytest's own.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with make_testbed(Path(name), account) as opened:
            yield opened


@pytest.fixture
def configure(testbed: Testbed, registry: TestRegistry) -> Configure:
    """Writes the configuration: who builds, for which engine; with ``pushes``, images go to the registry."""

    def write(
        engine: str, builder: str = "buildah", *, pushes: bool = True, to: TestRegistry = registry, **launchd: Any
    ) -> None:
        destination = {"destination": f"{to.name}/team/images"} if pushes else {}
        first = 1_000_000 + NUMBERS_PER_BUILD * secrets.randbelow(15_000)
        numbers = {"user_numbers": f"{first}-{first + NUMBERS_PER_BUILD - 1}"} if os.geteuid() == 0 else {}
        ours = {
            "docker": {"host": engine, "base_image": f"{registry.name}/python:3.11", "unavailable_seconds": 1},
            "buildah": numbers,
            "policy": {"resources": ["local-container"]},
            "jobs": {"stop_grace_seconds": 1.0},
            "supervision": QUICK,
        }
        testbed.configure(max_jobs=4, launchd=ours | launchd, builder={"type": builder, **destination})

    return write


@pytest.fixture
def containers(engine: TestEngine) -> Iterator[TestEngine]:
    yield engine
    engine.remove_containers()
    with engine.client() as client:
        for found in client.images(filters={"label": "launchd.built"}):
            client.remove_image(found["Id"], force=True)


def test_code_is_built_pushed_and_run_and_the_second_launch_builds_nothing(
    testbed: Testbed, configure: Configure, containers: TestEngine, registry: TestRegistry, tmp_path: Path
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    write_wheel(packages, "tiny", "5")
    configure(containers.address)
    before = registry.tags("team/images")
    with package_index(packages) as index:
        requirements = f"--index-url {index.simple}\ntiny\n"
        uri = upload(testbed, tmp_path / "code", {"main.py": REQUIREMENTS, "requirements.txt": requirements})
        testbed.start_agent()
        first = push(testbed, uri=uri)
        assert ended(testbed, first) == [("FINISHED", "")]
    second = push(testbed, uri=uri)
    assert ended(testbed, second) == [("FINISHED", "")]

    assert [output(testbed, item) for item in (first, second)] == ["tiny 5\n"] * 2
    assert len(set(registry.tags("team/images")) - set(before)) == 1
    assert (directory_of(testbed, first) / "build.log").exists()
    assert not (directory_of(testbed, second) / "build.log").exists()


def test_the_registrys_password_opens_it_for_the_push_and_for_the_engine(
    testbed: Testbed, configure: Configure, containers: TestEngine, tmp_path: Path
) -> None:
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    access = {"username": USER, "password_file": str(password)}
    with running_registry(testbed.directory / "closed", password=True) as closed:
        configure(containers.address, to=closed, registry=access)
        uri = upload(testbed, tmp_path / "code", {"main.py": "print('behind a password')"})
        testbed.start_agent()
        item = push(testbed, uri=uri)
        assert ended(testbed, item) == [("FINISHED", "")]
        assert len(closed.tags("team/images")) == 1

    assert output(testbed, item) == "behind a password\n"
    in_a_header = base64.b64encode(f"{USER}:{PASSWORD}".encode())
    files = [path for path in testbed.state_dir.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if in_a_header in path.read_bytes()] == []


def test_without_a_registry_the_engine_gets_the_image_and_no_file_is_left(
    testbed: Testbed, configure: Configure, containers: TestEngine, tmp_path: Path
) -> None:
    configure(containers.address, pushes=False)
    uri = upload(testbed, tmp_path / "code", HELLO)
    testbed.start_agent()

    item = push(testbed, uri=uri)

    assert ended(testbed, item) == [("FINISHED", "")]
    assert output(testbed, item) == "hello\n"
    assert not (directory_of(testbed, item) / ARCHIVE_FILE).exists()


def test_without_any_engine_the_image_is_built_and_pushed_all_the_same(
    testbed: Testbed, configure: Configure, registry: TestRegistry, tmp_path: Path
) -> None:
    configure(f"unix://{tmp_path}/no-engine.sock")
    before = registry.tags("team/images")
    uri = upload(testbed, tmp_path / "code", {"main.py": "print('built without an engine')"})
    testbed.start_agent()

    ((state, message),) = ended(testbed, push(testbed, uri=uri))

    assert state == "FAILED"
    assert "The container engine at" in message
    assert len(registry.tags("team/images")) == len(before) + 1


def test_where_nothing_is_built_code_runs_in_a_base_image(
    testbed: Testbed, configure: Configure, containers: TestEngine, tmp_path: Path
) -> None:
    image = import_python_image(containers)
    configure(containers.address, "noop", pushes=False)
    code = {"main.py": "import os; open('made', 'w').close(); print(os.getcwd(), os.getuid())"}
    uri = upload(testbed, tmp_path / "code", code)
    testbed.start_agent()

    item = push(testbed, uri=uri, resource_args={"local-container": {"builder": {"base_image": image}}})

    assert ended(testbed, item) == [("FINISHED", "")]
    assert output(testbed, item) == f"/mnt/wandb {os.geteuid()}\n"
    assert f"the job runs in {image}, with its code mounted" in testbed.item(item).warnings[0].message


def deaths() -> Iterator[Any]:
    """Yield each place where a worker may die; all but the end of the build are for long runs."""
    for failpoint in (name for name in FAILPOINTS if name.startswith("worker.")):
        yield pytest.param(failpoint, marks=[] if failpoint == "worker.built" else pytest.mark.long)


@pytest.mark.parametrize("failpoint", list(deaths()))
def test_a_worker_may_die_anywhere(
    testbed: Testbed,
    configure: Configure,
    containers: TestEngine,
    registry: TestRegistry,
    tmp_path: Path,
    failpoint: str,
) -> None:
    """Both jobs run once, the image is built under one name, and no area of a build is left."""
    fired = tmp_path / "fired"
    fired.mkdir()
    configure(containers.address)
    before = registry.tags("team/images")
    uri = upload(testbed, tmp_path / "code", {"main.py": f"print('once, over {failpoint}')"})
    testbed.start_agent(LAUNCHD_FAILPOINTS=f"{failpoint}=kill", LAUNCHD_FAILPOINTS_ONCE=str(fired))

    items = [push(testbed, uri=uri) for _ in range(2)]

    wait_until((fired / failpoint).exists, 60, f"the failpoint {failpoint}")
    assert ended(testbed, *items) == [("FINISHED", "")] * 2
    assert [output(testbed, item) for item in items] == [f"once, over {failpoint}\n"] * 2
    assert len(set(registry.tags("team/images")) - set(before)) == 1
    assert areas(testbed) == []
    wait_until(lambda: containers.containers() == {}, what="no container is left")
