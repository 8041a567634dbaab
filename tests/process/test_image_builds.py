"""From source code to a running container: real engine, agent, queue server, git and pip."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from ipc.failpoints import FAILPOINTS
from launchd.client.artifacts import upload_directory
from launchd.client.queue_server import QueueServer
from tests.support.engine import TestEngine
from tests.support.git_origin import Origin
from tests.support.job_numbers import first_numbers
from tests.support.packages import package_index, write_wheel
from tests.support.python_image import import_python_image, without_settings_of_machine
from tests.support.server import Account
from tests.support.testbed import QUICK, Testbed, make_testbed
from tests.support.waiting import wait_until

pytestmark = [pytest.mark.engine, pytest.mark.timeout(180)]

REQUIREMENTS = "import tiny; print('tiny', tiny.VERSION)\n"


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    return Origin(tmp_path / "origin")


@pytest.fixture
def image(engine: TestEngine) -> str:
    return import_python_image(engine)


@pytest.fixture
def testbed(
    tmp_path: Path, account: Account, engine: TestEngine, image: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Testbed]:
    without_settings_of_machine(monkeypatch)
    with make_testbed(tmp_path, account, max_jobs=8, launchd=settings(engine, image)) as opened:
        yield opened
    engine.remove_containers()
    remove_images(engine)


def settings(engine: TestEngine, image: str, **docker: Any) -> dict[str, Any]:
    network = {"build_network": "host"}
    return {
        "docker": {"host": engine.address, "base_image": image, "unavailable_seconds": 20, **network, **docker},
        "policy": {"resources": ["local-container"], "allow_local_git": True},
        "jobs": {"stop_grace_seconds": 1.0},
        "supervision": QUICK,
    }


def remove_images(engine: TestEngine) -> None:
    """Remove what was built, the caches of BuildKit too: each test builds by itself."""
    with engine.client() as client:
        for found in client.images(filters={"label": "launchd.built"}):
            client.remove_image(found["Id"], force=True)
        client.prune_builds()


def built(engine: TestEngine) -> dict[str, str]:
    """Return the ids of the images that were built, by name."""
    with engine.client() as client:
        found = client.images(filters={"label": "launchd.built"})
        return {tag: one["Id"] for one in found for tag in one["RepoTags"] or ()}


def push(testbed: Testbed, *command: str, **spec: Any) -> str:
    return testbed.push(*command, resource="local-container", **spec)


def directory_of(testbed: Testbed, item_id: str) -> Path:
    return testbed.state_dir / "jobs" / str(testbed.job(item_id)["workload_name"])


def ended(testbed: Testbed, *item_ids: str) -> list[tuple[str, str]]:
    """Wait until the items are over; returns their states and messages."""
    return [(item.state, item.message or "") for item in testbed.wait_over(item_ids, 150)]


def output(testbed: Testbed, item_id: str) -> str:
    return (directory_of(testbed, item_id) / "output.log").read_text()


def areas(testbed: Testbed) -> list[str]:
    place = testbed.state_dir / "images" / "areas"
    return [path.name for path in place.iterdir()] if place.is_dir() else []


def upload(testbed: Testbed, directory: Path, files: dict[str, str]) -> str:
    """Keep ``files`` on the queue server; returns the run spec's ``uri``."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    client = QueueServer(testbed.server.url, testbed.server.key)
    try:
        return f"wandb-artifact://_id/{upload_directory(client, testbed.entity, 'tests', 'code', directory)}"
    finally:
        client.close()


def test_a_repository_is_built_and_run_and_the_second_launch_builds_nothing(
    testbed: Testbed, engine: TestEngine, origin: Origin
) -> None:
    origin.commit("import os; print('hello', os.getuid(), os.environ['WANDB_PROJECT'], os.getcwd())")
    testbed.start_agent()
    git = {"repo": str(origin.path)}

    first = push(testbed, git=git)
    assert ended(testbed, first) == [("FINISHED", "")]
    images = built(engine)
    second = push(testbed, git=git)
    assert ended(testbed, second) == [("FINISHED", "")]

    assert [output(testbed, item) for item in (first, second)] == ["hello 1000 tests /home/job\n"] * 2
    assert built(engine) == images
    assert len(images) == 1
    assert (directory_of(testbed, first) / "build.log").exists()
    assert not (directory_of(testbed, second) / "build.log").exists()
    assert areas(testbed) == []


def test_requirements_of_a_code_directory_are_in_its_image(testbed: Testbed, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    write_wheel(packages, "tiny", "2")
    with package_index(packages) as index:
        requirements = f"--index-url {index.simple}\ntiny\n"
        uri = upload(testbed, tmp_path / "code", {"main.py": REQUIREMENTS, "requirements.txt": requirements})
        testbed.start_agent()
        item = push(testbed, uri=uri)
        assert ended(testbed, item) == [("FINISHED", "")]

    assert output(testbed, item) == "tiny 2\n"


def test_an_index_with_a_password_reaches_the_build_and_no_layer(
    testbed: Testbed, engine: TestEngine, image: str, tmp_path: Path
) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    write_wheel(packages, "tiny", "3")
    testbed.configure(max_jobs=8, launchd=settings(engine, image) | {"venv": {"pass_index_settings": True}})
    with package_index(packages, login=("user", "s3cret-of-index")) as index:
        uri = upload(testbed, tmp_path / "code", {"main.py": REQUIREMENTS, "requirements.txt": "tiny\n"})
        testbed.start_agent(PIP_INDEX_URL=index.simple_with_login)
        item = push(testbed, uri=uri)
        assert ended(testbed, item) == [("FINISHED", "")]

    assert output(testbed, item) == "tiny 3\n"
    (name,) = built(engine)
    with engine.client() as client:
        assert "s3cret" not in str(client.history(name)) + str(client.inspect_image(name))
        assert not any(b"s3cret-of-index" in piece for piece in client.get_image(name))
    files = [path for path in testbed.state_dir.rglob("*") if path.is_file() and path.suffix != ".sqlite"]
    assert [path for path in files if b"s3cret-of-index" in path.read_bytes()] == []


def test_requirements_that_do_not_exist_are_a_sentence(testbed: Testbed, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    with package_index(packages) as index:
        requirements = f"--index-url {index.simple}\nnosuch\n"
        uri = upload(testbed, tmp_path / "code", {"main.py": "", "requirements.txt": requirements})
        testbed.start_agent()
        item = push(testbed, uri=uri)
        ((state, message),) = ended(testbed, item)

    assert state == "FAILED"
    assert message.startswith("The image of the project could not be built: docker ended with exit code 1.")
    # Of uv, or of pip where the index has no uv.
    assert "nosuch was not found" in message or "No matching distribution found for nosuch" in message
    assert "nosuch" in (directory_of(testbed, item) / "failure.txt").read_text()


OWN = {
    "train/main.py": "print(open('/data/greeting').read())",
    "train/data/greeting": "of its own",
}


def test_the_jobs_own_dockerfile_copies_relative_to_its_context(testbed: Testbed, image: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {image}\nWORKDIR /code\nCOPY data/ /data/\nCOPY main.py ./\n"
    uri = upload(testbed, tmp_path / "code", OWN | {"train/Dockerfile.wandb": dockerfile})
    testbed.start_agent()

    # Beside the script of the entry point, with that directory for a context.
    item = push(testbed, "python", "train/main.py", uri=uri)

    assert ended(testbed, item) == [("FINISHED", "")]
    assert output(testbed, item) == "of its own\n"


def test_a_dockerfile_that_is_named_has_the_whole_project(testbed: Testbed, image: str, tmp_path: Path) -> None:
    dockerfile = f"FROM {image}\nCOPY train/data/ /data/\nCOPY . /code\nWORKDIR /code\n"
    uri = upload(testbed, tmp_path / "code", OWN | {"docker/mine": dockerfile})
    testbed.start_agent()

    item = push(testbed, "python", "train/main.py", uri=uri, overrides={"dockerfile": "docker/mine"})

    assert ended(testbed, item) == [("FINISHED", "")]
    assert output(testbed, item) == "of its own\n"


def test_frozen_requirements_that_cannot_be_had_are_left_out_with_a_warning(testbed: Testbed, tmp_path: Path) -> None:
    packages = tmp_path / "packages"
    packages.mkdir()
    write_wheel(packages, "tiny", "4")
    with package_index(packages) as index:
        uri = upload(
            testbed, tmp_path / "code", {"main.py": REQUIREMENTS, "requirements.frozen.txt": "tiny==4\nnosuch==1\n"}
        )
        testbed.start_agent(PIP_INDEX_URL=index.simple)
        item = push(testbed, uri=uri)
        assert [state for state, _ in ended(testbed, item)] == ["FINISHED"]

    assert output(testbed, item) == "tiny 4\n"
    assert "built without: nosuch==1" in testbed.item(item).warnings[0].message


@pytest.mark.long
def test_a_script_that_uses_wandb_reports_its_run(
    testbed: Testbed, engine: TestEngine, image: str, tmp_path: Path
) -> None:
    open_network = settings(engine, image)
    open_network["policy"] = open_network["policy"] | {"containers": {"networks": ["host"]}}
    testbed.configure(max_jobs=8, launchd=open_network)
    script = "import wandb\nrun = wandb.init()\nrun.log({'a': 1})\nprint('run', run.id)\nrun.finish()\n"
    # From the package index of the world.
    uri = upload(testbed, tmp_path / "code", {"main.py": script, "requirements.txt": "wandb==0.20.1\n"})
    testbed.start_agent()

    item = push(testbed, uri=uri, run_id="wandbrun")

    assert ended(testbed, item) == [("FINISHED", "")]
    assert "run wandbrun" in output(testbed, item)


# -- builds that go wrong


SLOW = "FROM {image}\nRUN touch /started && sleep 600\n"


def test_a_build_that_hangs_is_ended_and_gives_back_what_it_had(
    testbed: Testbed, engine: TestEngine, image: str, tmp_path: Path
) -> None:
    testbed.configure(max_jobs=1, launchd=settings(engine, image, build_no_progress_seconds=2))
    hanging = upload(testbed, tmp_path / "hanging", {"main.py": "", "Dockerfile.wandb": SLOW.format(image=image)})
    good = upload(testbed, tmp_path / "good", {"main.py": "print('good')"})
    testbed.start_agent()

    # With one slot, the second job runs once the first one has given it back.
    items = [push(testbed, uri=hanging), push(testbed, uri=good)]
    (state, message), (next_state, _) = ended(testbed, *items)

    assert (state, next_state) == ("FAILED", "FINISHED")
    assert message.startswith(
        "The image of the project could not be built: docker made no progress for 2 s and was ended"
        " (launchd.docker.build_no_progress_seconds)."
    )
    assert areas(testbed) == []
    wait_until(lambda: sleeping() == [], 20, "the step of the build is gone")


def sleeping() -> list[int]:
    found = psutil.process_iter(["pid", "cmdline"])
    return [process.pid for process in found if (process.info["cmdline"] or [])[-2:] == ["sleep", "600"]]


def clients_of(testbed: Testbed) -> list[psutil.Process]:
    """Return the running clients of the engine that build for this agent."""
    mine = str(testbed.state_dir / "images")
    found = psutil.process_iter(["cmdline"])
    return [
        one for one in found if (one.info["cmdline"] or [""])[0].endswith("docker") and mine in one.info["cmdline"][-1]
    ]


@pytest.mark.parametrize("what", ["client", "worker"])
def test_a_builder_that_is_killed_concerns_its_own_job_alone(
    testbed: Testbed, image: str, tmp_path: Path, what: str
) -> None:
    slow = upload(testbed, tmp_path / "slow", {"main.py": "", "Dockerfile.wandb": SLOW.format(image=image)})
    good = upload(testbed, tmp_path / "good", {"main.py": "print('good')"})
    testbed.start_agent()
    killed = push(testbed, uri=slow)
    wait_until(lambda: clients_of(testbed) != [] and sleeping() != [], 60, "the build is under way")
    other = push(testbed, uri=good)

    if what == "client":
        clients_of(testbed)[0].kill()
        ((state, message),) = ended(testbed, killed)
        assert state == "FAILED"
        assert "docker was killed by signal 9." in message
    else:
        os.kill(int(testbed.job(killed)["worker_pid"]), signal.SIGKILL)
        wait_until(lambda: testbed.job(killed)["attempt"] == 2 and clients_of(testbed) != [], 60, "it is built again")
        testbed.ask(command="stop", item=killed)
        assert [state for state, _ in ended(testbed, killed)] == ["STOPPED"]

    assert ended(testbed, other) == [("FINISHED", "")]
    wait_until(lambda: sleeping() == [], 20, "no step of a build is left")
    assert areas(testbed) == []


def test_jobs_with_the_same_image_build_it_once(testbed: Testbed, engine: TestEngine, tmp_path: Path) -> None:
    uri = upload(testbed, tmp_path / "code", {"main.py": "print('same')"})
    testbed.start_agent()

    items = [push(testbed, uri=uri) for _ in range(4)]

    assert ended(testbed, *items) == [("FINISHED", "")] * 4
    logs = [item for item in items if (directory_of(testbed, item) / "build.log").exists()]
    assert len(logs) == 1
    assert len(built(engine)) == 1


def test_a_stop_ends_a_build(testbed: Testbed, image: str, tmp_path: Path) -> None:
    slow = upload(testbed, tmp_path / "slow", {"main.py": "", "Dockerfile.wandb": SLOW.format(image=image)})
    testbed.start_agent()
    item = push(testbed, uri=slow)
    wait_until(lambda: sleeping() != [], 60, "the build is under way")

    testbed.ask(command="stop", item=item)

    assert [state for state, _ in ended(testbed, item)] == ["STOPPED"]
    wait_until(lambda: sleeping() == [], 20, "the step of the build is gone")


def test_an_image_that_is_not_granted_is_not_built_upon(
    testbed: Testbed, engine: TestEngine, image: str, tmp_path: Path
) -> None:
    strict = settings(engine, image)
    strict["policy"] = strict["policy"] | {"containers": {"images": ["registry.example.com/*"]}}
    testbed.configure(max_jobs=8, launchd=strict)
    refused = upload(testbed, tmp_path / "own", {"main.py": "", "Dockerfile.wandb": f"FROM {image}\n"})
    plain = upload(testbed, tmp_path / "plain", {"main.py": "print('plain')"})
    testbed.start_agent()

    items = [push(testbed, uri=refused), push(testbed, uri=plain)]
    (state, message), (other, _) = ended(testbed, *items)

    assert (state, other) == ("FAILED", "FINISHED")
    assert message.startswith(f"In the job's Dockerfile: The image {image} is not granted on this host")


def test_no_secret_of_the_host_gets_into_an_image_through_a_link(testbed: Testbed, origin: Origin) -> None:
    (origin.path / "key").symlink_to(testbed.config_path)
    (origin.path / "state").symlink_to(testbed.state_dir)
    origin.commit("import os; print(sorted(os.listdir()))")
    testbed.start_agent()

    item = push(testbed, git={"repo": str(origin.path)})

    assert [state for state, _ in ended(testbed, item)] == ["FINISHED"]
    assert "'key'" not in output(testbed, item)
    assert "'state'" not in output(testbed, item)


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users may pass through, unlike pytest's own."""
    with TemporaryDirectory(prefix="launchd-builds-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_project_of_a_jobs_own_user_is_built(
    account: Account, engine: TestEngine, image: str, open_directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_settings_of_machine(monkeypatch)
    separate = settings(engine, image)
    separate["policy"] = separate["policy"] | {"run_as_users": first_numbers(100)}
    with make_testbed(open_directory, account, max_jobs=8, launchd=separate) as testbed:
        uri = upload(testbed, open_directory / "code", {"main.py": "print(open('data/x').read())", "data/x": "x"})
        testbed.start_agent()

        items = [push(testbed, uri=uri) for _ in range(2)]

        assert ended(testbed, *items) == [("FINISHED", "")] * 2
        assert {output(testbed, item) for item in items} == {"x\n"}
        assert areas(testbed) == []
    remove_images(engine)


def deaths() -> Iterator[Any]:
    """Yield each place where a worker may die; those that concern a build least are for long runs."""
    for failpoint in (name for name in FAILPOINTS if name.startswith("worker.")):
        is_short = failpoint in ("worker.fetched", "worker.built")
        yield pytest.param(failpoint, marks=[] if is_short else pytest.mark.long)


@pytest.mark.parametrize("failpoint", list(deaths()))
def test_a_worker_may_die_anywhere(testbed: Testbed, engine: TestEngine, tmp_path: Path, failpoint: str) -> None:
    fired = tmp_path / "fired"
    fired.mkdir()
    uri = upload(testbed, tmp_path / "code", {"main.py": "print('once')"})
    testbed.start_agent(LAUNCHD_FAILPOINTS=f"{failpoint}=kill", LAUNCHD_FAILPOINTS_ONCE=str(fired))

    items = [push(testbed, uri=uri) for _ in range(2)]

    wait_until((fired / failpoint).exists, 60, f"the failpoint {failpoint}")
    assert [state for state, _ in ended(testbed, *items)] == ["FINISHED"] * 2
    assert [output(testbed, item) for item in items] == ["once\n"] * 2
    assert len(built(engine)) == 1
    assert areas(testbed) == []
    wait_until(lambda: engine.containers() == {}, what="no container is left")


def test_a_client_of_docker_shows_no_secret_in_its_command_line(
    testbed: Testbed, engine: TestEngine, image: str, tmp_path: Path
) -> None:
    slow = upload(testbed, tmp_path / "slow", {"main.py": "", "Dockerfile.wandb": SLOW.format(image=image)})
    testbed.configure(max_jobs=8, launchd=settings(engine, image) | {"venv": {"pass_index_settings": True}})
    testbed.start_agent(PIP_INDEX_URL="http://user:s3cret-of-index@127.0.0.1:9/simple")
    item = push(testbed, uri=slow)
    wait_until(lambda: clients_of(testbed) != [], 60, "the build is under way")

    seen = subprocess.run(["ps", "axww", "-o", "args"], capture_output=True, text=True, check=True).stdout

    assert "s3cret-of-index" not in seen
    assert testbed.server.key not in seen
    testbed.ask(command="stop", item=item)
    ended(testbed, item)
