"""Orphaned containers and unused images on a real engine: found, shown by a dry run, removed; what is needed stays."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ipc.agent_mark import agent_mark
from tests.support.engine import BASE_IMAGE, TestEngine
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until
from workers.docker import image_records
from workers.docker.images import parse_image

pytestmark = pytest.mark.engine

OLD, USED, STRANGERS = (f"localhost/launchd-test-{name}:1" for name in ("old", "used", "strangers"))
#: All images are too much, at once.
EAGER = {"above_percent": 0, "below_percent": 0, "keep_seconds": 0, "interval_seconds": 1}
NEVER = {"interval_seconds": 0}


@pytest.fixture
def testbed(tmp_path: Path, account: Account, engine: TestEngine) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account, launchd=settings(engine, NEVER)) as opened:
        yield opened
    engine.remove_containers()


def settings(engine: TestEngine, cleanup: dict[str, Any]) -> dict[str, Any]:
    return {
        "docker": {"host": engine.address, "cleanup": cleanup},
        "policy": {"resources": ["local-container"]},
        "jobs": {"stop_grace_seconds": 1.0},
    }


def push(testbed: Testbed, *command: str, image: str = BASE_IMAGE) -> str:
    return testbed.push(*command, resource="local-container", docker={"docker_image": image})


def leave_container(engine: TestEngine, mark: str, name: str, *command: str) -> None:
    """Start a container as an agent with this mark has left it."""
    labels = {"launchd.agent": mark, "launchd.name": name, "launchd.item": f"item of {name}"}
    with engine.client() as client:
        made = client.create_container(BASE_IMAGE, list(command), name=name, labels=labels)
        client.start(made["Id"])


def clean(testbed: Testbed, *words: str) -> str:
    """Run ``launchd clean`` as a person does; returns what it prints."""
    command = [sys.executable, "-m", "launchd", "clean", "-c", str(testbed.config_path), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


# -- orphans


def test_an_agent_removes_its_orphans_at_its_start_and_nothing_of_another(testbed: Testbed, engine: TestEngine) -> None:
    own, other = agent_mark(str(testbed.state_dir)), agent_mark("/another/agent")
    leave_container(engine, own, "launchd-orphan-1", "sleep", "600")
    leave_container(engine, own, "launchd-ended-1", "true")
    leave_container(engine, other, "launchd-other-1", "sleep", "600")
    # Without a journal this one may yet be adopted by its directory.
    (testbed.state_dir / "jobs" / "launchd-adopted-1").mkdir(parents=True)
    leave_container(engine, own, "launchd-adopted-1", "sleep", "600")

    testbed.start_agent()

    stay = {"launchd-other-1", "launchd-adopted-1"}
    wait_until(lambda: set(engine.containers()) == stay, 30, "the orphans are gone")
    wait_until(lambda: testbed.log().count("An orphaned container is removed.") == 2, what="that is in the log")


def test_a_dry_run_shows_orphans_and_removes_none(testbed: Testbed, engine: TestEngine) -> None:
    leave_container(engine, agent_mark(str(testbed.state_dir)), "launchd-first-1", "sleep", "600")
    testbed.start_agent()
    wait_until(lambda: engine.containers() == {}, 30, "the agent has looked, as it does at its start alone")
    running = push(testbed, "sleep", "600")
    wait_until(lambda: testbed.phase(running) == "running", 30, "the job runs")
    leave_container(engine, agent_mark(str(testbed.state_dir)), "launchd-orphan-1", "sleep", "600")
    job = str(testbed.job(running)["workload_name"])

    shown = clean(testbed, "--dry-run")

    assert "launchd-orphan-1" in shown
    assert "no job is known for it" in shown
    assert job not in shown
    assert set(engine.containers()) == {"launchd-orphan-1", job}
    assert "launchd-orphan-1" in clean(testbed)
    assert set(engine.containers()) == {job}
    assert clean(testbed).startswith("No container is orphaned.\n")
    testbed.ask(command="stop", item=running)
    testbed.wait_over([running])


def test_an_engine_that_does_not_answer_is_a_sentence(testbed: Testbed) -> None:
    config = yaml.safe_load(testbed.config_path.read_text())
    config["launchd"]["docker"]["host"] = "unix:///no/such/engine.sock"
    testbed.config_path.write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "launchd", "clean", "-c", str(testbed.config_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert done.returncode == 1
    assert done.stderr == "Error: The container engine at unix:///no/such/engine.sock does not answer.\n"


# -- images


@pytest.fixture
def images(testbed: Testbed, engine: TestEngine) -> Iterator[dict[str, str]]:
    """Images with a content of their own, by name; all but one were brought here for jobs."""
    made = {}
    with engine.client() as client:
        for name in (OLD, USED, STRANGERS):
            dockerfile = io.BytesIO(f"FROM {BASE_IMAGE}\nLABEL of={name}\n".encode())
            list(client.build(fileobj=dockerfile, tag=name, rm=True, forcerm=True))
            made[name] = client.inspect_image(name)["Id"]
    testbed.state_dir.mkdir(exist_ok=True)
    for name in (OLD, USED):
        held = image_records.hold(str(testbed.state_dir), str(parse_image(name)))
        assert held is not None
        held.note(made[name])
        held.release()
    yield made
    engine.remove_containers()
    with engine.client() as client:
        for name in present(engine):
            client.remove_image(name, force=True)


def present(engine: TestEngine) -> set[str]:
    with engine.client() as client:
        tags = {tag for image in client.images() for tag in image["RepoTags"] or ()}
    return tags & {OLD, USED, STRANGERS}


@pytest.mark.usefixtures("images")
def test_unused_images_go_and_what_is_in_use_or_a_strangers_stays(testbed: Testbed, engine: TestEngine) -> None:
    testbed.start_agent()
    item = push(testbed, "sleep", "600", image=USED)
    wait_until(lambda: testbed.phase(item) == "running", 30, "the job runs")

    assert "No image is removed" in clean(testbed)
    shown = clean(testbed, "--unused", "--dry-run")
    assert OLD in shown
    assert USED not in shown
    assert STRANGERS not in shown
    assert present(engine) == {OLD, USED, STRANGERS}
    assert OLD in clean(testbed, "--unused")
    assert present(engine) == {USED, STRANGERS}

    testbed.ask(command="stop", item=item)
    testbed.wait_over([item])
    wait_until(lambda: USED in clean(testbed, "--unused"), 20, "the image is free once its job is over")
    assert present(engine) == {STRANGERS}


@pytest.mark.usefixtures("images")
def test_an_image_that_a_job_holds_stays(testbed: Testbed, engine: TestEngine) -> None:
    held = image_records.hold(str(testbed.state_dir), str(parse_image(OLD)))
    assert held is not None

    assert USED in clean(testbed, "--unused")

    assert present(engine) == {OLD, STRANGERS}
    held.release()


@pytest.mark.usefixtures("images")
def test_an_image_with_a_name_of_a_strangers_stays(testbed: Testbed, engine: TestEngine) -> None:
    with engine.client() as client:
        client.tag(OLD, "localhost/launchd-test-mine", "1")
        try:
            assert OLD not in clean(testbed, "--unused")
        finally:
            client.remove_image("localhost/launchd-test-mine:1")
    assert OLD in present(engine)


@pytest.mark.usefixtures("images")
def test_the_agent_makes_room_by_itself(testbed: Testbed, engine: TestEngine) -> None:
    testbed.configure(max_jobs=1, launchd=settings(engine, EAGER))
    testbed.start_agent()

    wait_until(lambda: present(engine) == {STRANGERS}, 30, "the images of jobs are gone")

    wait_until(lambda: "Images were removed to make room" in testbed.log(), what="that is in the log")
    # And a job that needs one of them says that it is not there, or has it pulled.
    assert testbed.wait_over([push(testbed, "true")])[0].state == "FINISHED"
