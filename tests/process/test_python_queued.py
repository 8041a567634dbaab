"""`launchd.launch_add` and queues as objects, in one testbed, seen as launchd's server and as W&B's."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launchd import Api, LaunchError, QueuedRun, launch_add
from launchd.client.base import CURRENT_WANDB
from tests.support.runs import ClientRun
from tests.support.server import Api as Wire
from tests.support.server import fresh_name, running_server
from tests.support.testbed import QUEUE, Testbed, make_testbed
from tests.support.waiting import wait_until
from tests.support.wandb_faults import TRANSIENT, Fault
from tests.support.wandb_server import wandb_server

END_SECONDS = 30.0


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Testbed]:
    with make_testbed(tmp_path_factory.mktemp("testbed")) as opened, pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_BASE_URL", opened.server.url)
        patch.setenv("WANDB_API_KEY", opened.server.key)
        opened.start_agent()
        yield opened


@pytest.fixture(params=["launchd's server", "W&B's server"])
def api(testbed: Testbed, request: pytest.FixtureRequest) -> Iterator[Api]:
    """The same server; as W&B's, nothing that is ours is asked of it."""
    api = Api(base_url=testbed.server.url, api_key=testbed.server.key)
    if request.param != "launchd's server":
        api.queue_server._capabilities = CURRENT_WANDB
    yield api
    api.close()


def parked(api: Api, *command: str) -> QueuedRun:
    """An item in a queue that no agent serves."""
    if not any(queue.name == "parked" for queue in api.run_queues()):
        api.create_run_queue("parked", "local-process", prioritization_mode="V0")
    return launch_add(entry_point=list(command) or ["true"], queue_name="parked", api=api)


def test_a_run_is_waited_for(api: Api) -> None:
    queued = launch_add(entry_point=["true"], project="tests", name="first", api=api)

    run = queued.wait_until_finished(END_SECONDS)

    assert (run.state, run.display_name) == ("finished", "first")
    assert queued.run == run
    assert (queued.queue_name, queued.entity, queued.project) == (QUEUE, "me", "tests")


def test_a_run_is_waited_for_until_it_runs(api: Api, tmp_path: Path) -> None:
    queued = launch_add(entry_point=["sh", "-c", f"touch {tmp_path}/begun; exec sleep 600"], api=api)

    run = queued.wait_until_running(END_SECONDS)

    assert run.state == queued.wait_until_started(END_SECONDS).state == "running"
    assert run.id == run.name
    assert queued.state == "claimed"
    Api().queued_run("me", "uncategorized", QUEUE, queued.id).stop("seen enough")
    assert queued.wait_until_finished(END_SECONDS).state == "killed"


def test_a_run_that_fails_ends_both_waits(api: Api) -> None:
    queued = launch_add(entry_point=["sh", "-c", "exit 3"], api=api)

    assert queued.wait_until_finished(END_SECONDS).state == "failed"
    assert queued.wait_until_running(END_SECONDS).state == "failed"


@pytest.mark.usefixtures("testbed")
def test_the_reason_of_a_failure_is_known(tmp_path: Path) -> None:
    ran = launch_add(entry_point=["sh", "-c", "exit 3"])
    ran.wait_until_finished(END_SECONDS)
    never = launch_add(uri=f"file://{tmp_path}/nothing")

    assert (ran.status, ran.message) == ("failed", "The command ended with exit code 3.")
    with pytest.raises(LaunchError, match=f"Item {never.id} failed at stage agent: The repository .* could not be"):
        never.wait_until_finished(END_SECONDS)


def test_an_item_that_fails_before_it_runs_ends_both_waits(api: Api) -> None:
    queued = launch_add(entry_point=["true"], resource="kubernetes", api=api)

    with pytest.raises(LaunchError, match=f"Item {queued.id} failed"):
        queued.wait_until_running(END_SECONDS)
    with pytest.raises(LaunchError, match=f"Item {queued.id} failed"):
        queued.wait_until_finished(END_SECONDS)
    assert queued.state == "failed"


def test_waiting_has_a_limit(api: Api) -> None:
    queued = parked(api)

    with pytest.raises(TimeoutError, match=r"was waited for to run for 0\.2 s; it is queued"):
        queued.wait_until_running(0.2)
    with pytest.raises(TimeoutError, match="to be over for 0 s"):
        queued.wait_until_finished(0)


def test_a_deleted_item_ends_a_wait(api: Api) -> None:
    queued = parked(api)
    assert queued.state == "pending"
    deleting = threading.Timer(0.2, queued.delete)
    deleting.start()

    with pytest.raises(LaunchError, match="it was deleted"):
        queued.wait_until_finished(END_SECONDS)
    deleting.join()
    with pytest.raises(LaunchError, match="There is no item"):
        queued.delete()
    with pytest.raises(LaunchError, match="it was deleted"):
        _ = queued.state


@pytest.mark.usefixtures("testbed")
def test_a_stopped_item_ends_a_wait() -> None:
    queued = parked(Api())
    queued.stop("not needed")

    with pytest.raises(LaunchError, match="was stopped: not needed"):
        queued.wait_until_running(END_SECONDS)


@pytest.mark.usefixtures("testbed")
def test_items_cannot_be_stopped_at_wandbs_server() -> None:
    api = Api()
    queued = parked(api)
    api.queue_server._capabilities = CURRENT_WANDB

    with pytest.raises(LaunchError, match="stops runs, not items"):
        queued.stop()


def test_a_server_that_hangs_does_not_prolong_a_wait(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        api = Api(base_url=server.url, api_key=server.key)
        queued = launch_add(entry_point=["true"], api=api)
        os.kill(server.process.pid, signal.SIGSTOP)
        began = time.monotonic()

        with pytest.raises(TimeoutError, match=r"for 0\.2 s; it is not known: the queue server does not answer"):
            queued.wait_until_finished(0.2)

        assert time.monotonic() - began < api.queue_server.transport._timeout / 2
        os.kill(server.process.pid, signal.SIGCONT)
        assert queued.state == "pending"


def test_a_wait_outlasts_an_outage_of_the_server(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        api = Api(base_url=server.url, api_key=server.key)
        queued = launch_add(entry_point=["true"], api=api)
        server.kill()
        done = threading.Event()
        errors: list[str] = []

        def wait() -> None:
            try:
                queued.wait_until_finished(END_SECONDS)
            except LaunchError as error:
                errors.append(str(error))
            done.set()

        waiting = threading.Thread(target=wait)
        waiting.start()
        with pytest.raises(TimeoutError, match="the queue server does not answer"):
            queued.wait_until_running(0.5)
        assert not done.is_set()
        server.start()
        queued.stop("enough")
        waiting.join(END_SECONDS)
        assert errors == [f"Item {queued.id} was stopped: enough."]


@pytest.mark.parametrize("fault", TRANSIENT)
def test_no_fault_of_wandbs_server_ends_a_wait(fault: Fault) -> None:
    with wandb_server("default") as theirs:
        item = theirs.items[theirs.push("default")]
        item.state, item.run_id = "CLAIMED", "run"
        theirs.start_run("run", "finished")
        api = Api(base_url=theirs.url, api_key=theirs.key, timeout=2.0)
        queued = api.queued_run("me", "tests", "default", item.id)
        assert queued.state == "claimed"
        theirs.break_operations(fault, "GetRunQueueItem", "RunState", "Run")

        assert queued.wait_until_finished(END_SECONDS).state == "finished"

        assert set(theirs.met) == {"GetRunQueueItem", "RunState", "Run"}


def test_a_push_whose_answer_is_lost_is_not_said_to_be_refused() -> None:
    with wandb_server("default") as theirs:
        api = Api(base_url=theirs.url, api_key=theirs.key)
        theirs.break_operations(Fault.RESET, "pushToRunQueueByName", done=True)

        with pytest.raises(LaunchError, match="It may be in queue 'default' all the same: look there"):
            launch_add(entry_point=["true"], api=api)

        assert len(theirs.items) == 1


# -- runs again


def test_the_address_of_a_run_runs_it_again(api: Api, testbed: Testbed) -> None:
    with Wire(testbed.server.url, testbed.server.key) as wire:
        run = ClientRun(wire, name=fresh_name("run"), project="vision")
        git = {"remote": "https://h/x", "commit": "c0ffee"}
        run.upload("wandb-metadata.json", json.dumps({"program": "train.py", "args": ["--fast"], "git": git}).encode())
        other = ClientRun(wire, name=fresh_name("run"), project="vision")
    address = f"https://wandb.ai/me/vision/runs/{run.name}"
    parked(api).delete()

    again = launch_add(uri=address, queue_name="parked", api=api)
    changed = launch_add(uri=address, version="v2", entry_point=["true"], project="p", queue_name="parked", api=api)

    spec = spec_of(testbed, again)
    assert spec["git"] == {"repo": "https://h/x", "version": "c0ffee"}
    assert (spec["project"], spec["overrides"]["entry_point"]) == ("vision", ["python", "train.py", "--fast"])
    spec = spec_of(testbed, changed)
    assert spec["git"] == {"repo": "https://h/x", "version": "v2"}
    assert (spec["project"], spec["overrides"]["entry_point"]) == ("p", ["true"])
    with pytest.raises(LaunchError, match="knows of no git repository that the run"):
        launch_add(uri=f"https://wandb.ai/me/vision/runs/{other.name}", api=api)


def spec_of(testbed: Testbed, queued: QueuedRun) -> dict[str, Any]:
    spec = testbed.item(queued.id).run_spec
    assert spec is not None
    return spec


# -- queues


def test_a_queue_is_what_it_was_made_to_be(api: Api) -> None:
    name = f"made-{id(api)}"
    queue = api.create_run_queue(
        name,
        "kubernetes",
        prioritization_mode="v0",
        config={"namespace": "{{ns}}"},
        template_variables={"ns": {"type": "string", "enum": ["a", "b"]}},
    )

    assert (queue.name, queue.entity, queue.type) == (name, "me", "kubernetes")
    assert (queue.prioritization_mode, queue.access) == ("V0", "PROJECT")
    assert queue.default_resource_config == {"resource_args": {"kubernetes": {"namespace": "{{ns}}"}}}
    assert queue.template_variables == {"ns": {"type": "string", "enum": ["a", "b"]}}
    with pytest.raises(LaunchError, match="already"):
        api.create_run_queue(name, "kubernetes")

    api.upsert_run_queue(name, {}, "local-process", external_links={"wiki": "https://wiki"})

    assert (queue.type, queue.template_variables, queue.prioritization_mode) == ("local-process", {}, "DISABLED")
    assert queue.external_links == {"wiki": "https://wiki"}
    assert name in [one.name for one in api.run_queues()]
    queue.delete()
    assert name not in [one.name for one in api.run_queues()]
    with pytest.raises(LaunchError, match=f"There is no queue '{name}'"):
        queue.delete()
    with pytest.raises(LaunchError, match=f"There is no queue '{name}'"):
        _ = queue.type


def test_a_queue_has_its_items(api: Api) -> None:
    first, second = parked(api), parked(api)
    queue = api.run_queue("me/parked")

    assert [item.id for item in queue.list_items(2)] == [second.id, first.id]
    assert queue.items[0].state == "pending"
    queue.items[0].delete()
    assert queue.list_items(1)[0].id == first.id


@pytest.mark.usefixtures("testbed")
def test_a_queue_is_named_in_two_ways() -> None:
    api = Api()

    assert repr(api.run_queue("them", "theirs")) == repr(api.run_queue("them/theirs")) == "<RunQueue them/theirs>"
    assert repr(api.run_queue("ours")) == "<RunQueue me/ours>"


def test_the_default_queue_is_made_where_it_is_missing(tmp_path: Path) -> None:
    with running_server(tmp_path) as server:
        api = Api(base_url=server.url, api_key=server.key)
        with pytest.raises(LaunchError, match="There is none at all"):
            launch_add(entry_point=["true"], queue_name="nightly", api=api)

        assert launch_add(entry_point=["true"], api=api).state == "pending"
        assert [queue.name for queue in api.run_queues()] == ["default"]


@pytest.mark.usefixtures("testbed")
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"queue_name": "defaul"}, "Did you mean 'default'"),
        ({"resource": "kubernetess"}, "Did you mean 'kubernetes'"),
        ({"priority": 7}, r"0 \(critical\), 1 \(high\)"),
        ({"priority": "urgent"}, r"0 \(critical\), 1 \(high\)"),
        ({"template_variables": {"x": 1}}, "no template variable 'x'"),
        ({"entity": "nobody"}, "nobody"),
        ({"entry_point": None, "job": "typo"}, "has no job me/uncategorized/typo:latest"),
        ({"config": {"priority": "urgent"}}, r"0 \(critical\), 1 \(high\)"),
        (
            {"parameters": {"model": {"size": object()}}},
            r"parameters\['model'\]\['size'\] is <object .* JSON cannot hold",
        ),
    ],
)
def test_what_cannot_be_queued_is_refused(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(LaunchError, match=sentence):
        launch_add(**{"entry_point": ["true"]} | wrong)  # type: ignore[arg-type]


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(LaunchError, match="cannot be reached"):
        launch_add(entry_point=["true"], api=Api(base_url="http://127.0.0.1:9", api_key="k" * 40))


@pytest.mark.usefixtures("testbed")
def test_an_agent_sees_what_was_queued_while_it_polls() -> None:
    queued = [launch_add(entry_point=["true"]) for _ in range(3)]

    wait_until(lambda: all(one.state == "finished" for one in queued), END_SECONDS)
