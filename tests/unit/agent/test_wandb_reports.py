"""What W&B's server is told of an item's end: what its run cannot say, in W&B's words, with the log beside it."""

import itertools
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from launchd.agent.events import Delivered, Undeliverable
from launchd.agent.failure_log import TAIL_BYTES, error_text, redact
from launchd.agent.outbox_rows import Delivery
from launchd.agent.server_link import agent_run, wandb_reports
from launchd.agent.server_link.agent_run import AgentRun
from launchd.agent.server_link.wandb_reports import NO_INIT, NOT_STARTED, retry_delays
from launchd.client.queue_server import QueueServer
from tests.support.recorded_events import RecordedEvents
from tests.support.threads import known_agent, reporting
from tests.support.waiting import assert_stays, wait_until
from tests.support.wandb_server import ENTITY, KEY, Flavour, StoredItem, WandbServer, wandb_server

_ids = itertools.count(1)


def taken(wandb: WandbServer) -> StoredItem:
    """Return an item that the agent acknowledged as the run ``run``."""
    item = wandb.items[wandb.push("a")]
    item.state, item.run_id = "CLAIMED", "run"
    return item


def ended(item: StoredItem, status: str, *, directory: Path = Path("/nonexistent"), **known: Any) -> Delivery:
    """Return the outcome of a job that ran, unless ``known`` says otherwise."""
    report = {"runQueueItemId": item.id, "sequence": 1, "status": status}
    ending = {"entity": ENTITY, "project": "tests", "run_id": "run", "directory": str(directory), "ran": True}
    said = {key: known.pop(key) for key in ("message", "stage") if key in known}
    body = {**report, **said, "ending": {**ending, **known}}
    return Delivery(next(_ids), item.id, "agent-1", "outcome", json.dumps(body), 0.0)


def tell(client: QueueServer, recorded_events: RecordedEvents, delivery: Delivery, grace: float = 0.1) -> None:
    with reporting(client, recorded_events, grace=grace) as reporter:
        reporter.deliver(delivery)
        assert recorded_events.wait_for(Delivered) == [Delivered((delivery.id,))]


# Which run really started.


@pytest.mark.parametrize(
    ("status", "known", "sentence"),
    [
        ("finished", {}, f"{NO_INIT}."),
        ("failed", {"message": "It ended with exit code 3."}, f"{NOT_STARTED}: It ended with exit code 3."),
        ("stopped", {"message": "Stopped: enough."}, f"{NOT_STARTED}: Stopped: enough."),
    ],
)
@pytest.mark.parametrize("state", ["pending", None])
def test_an_item_whose_run_never_began_is_failed(
    wandb: WandbServer,
    wandb_client: QueueServer,
    recorded_events: RecordedEvents,
    status: str,
    known: Mapping[str, str],
    sentence: str,
    state: str | None,
) -> None:
    item = taken(wandb)
    if state:
        wandb.start_run("run", state)
    tell(wandb_client, recorded_events, ended(item, status, **known))
    assert item.failures == [(sentence, "run")]


@pytest.mark.parametrize("state", ["running", "finished", "failed", "crashed", "killed", "preempted"])
@pytest.mark.parametrize("status", ["finished", "failed", "stopped"])
def test_a_run_that_began_tells_its_own_end(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, status: str, state: str
) -> None:
    item = taken(wandb)
    wandb.start_run("run", state)
    tell(wandb_client, recorded_events, ended(item, status, message="m"))
    assert item.failures == []
    assert wandb.asked["RunState"] == 1


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize(
    ("status", "failures"), [("finished", []), ("stopped", []), ("failed", [("It ended with exit code 3.", "run")])]
)
def test_nothing_is_said_of_a_run_that_cannot_be_looked_up(
    wandb: WandbServer,
    wandb_client: QueueServer,
    recorded_events: RecordedEvents,
    status: str,
    failures: list[tuple[str, str]],
) -> None:
    wandb.refused.add("RunState")
    item = taken(wandb)
    delivery = ended(item, status, message="It ended with exit code 3.", stage="run")
    with reporting(wandb_client, recorded_events, grace=0.1) as reporter:
        reporter.deliver(delivery)
        wait_until(lambda: recorded_events.of(Delivered) or recorded_events.of(Undeliverable), what="its end")
    assert item.failures == failures
    assert recorded_events.of(Delivered) == ([Delivered((delivery.id,))] if failures else [])
    for refused in recorded_events.of(Undeliverable):
        assert refused.reason.startswith("Whether run run has begun could not be looked up: ")


def test_a_run_that_begins_late_has_begun(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_reports, "FIRST_RETRY_SECONDS", 0.1)
    item = taken(wandb)
    with reporting(wandb_client, recorded_events, grace=30.0) as reporter:
        reporter.deliver(ended(item, "finished"))
        wait_until(lambda: wandb.asked["RunState"] == 2, what="the second look")
        assert recorded_events.of(Delivered) == []
        wandb.start_run("run")
        recorded_events.wait_for(Delivered)
    assert item.failures == []


def test_waiting_for_a_run_holds_up_nothing_else(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    waiting, other = taken(wandb), taken(wandb)
    with reporting(wandb_client, recorded_events, grace=60.0) as reporter:
        reporter.deliver(ended(waiting, "finished"))
        reporter.deliver(ended(other, "failed", message="No such image.", stage="build", ran=False))
        recorded_events.wait_for(Delivered)
    assert other.failures == [("No such image.", "build")]
    assert waiting.failures == []


def test_the_looks_are_those_of_wandbs_agent() -> None:
    assert retry_delays(63.0) == (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
    assert retry_delays(0.0) == ()
    assert retry_delays(2.5) == (1.0, 1.5)


@pytest.mark.parametrize(("status", "failures"), [("finished", []), ("failed", [("It broke.", "run")])])
def test_a_run_of_another_entity_is_not_asked_after(
    wandb: WandbServer,
    wandb_client: QueueServer,
    recorded_events: RecordedEvents,
    status: str,
    failures: list[tuple[str, str]],
) -> None:
    item = taken(wandb)
    tell(wandb_client, recorded_events, ended(item, status, entity="them", message="It broke.", stage="run"))
    assert item.failures == failures
    assert wandb.asked["RunState"] == 0


def test_a_job_that_was_stopped_before_it_ran_is_not_left_behind(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    item = taken(wandb)
    tell(wandb_client, recorded_events, ended(item, "stopped", message="Stopped: enough.", ran=False))
    assert item.failures == [("Stopped: enough.", "agent")]


def test_an_item_that_is_gone_is_given_up(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    item = taken(wandb)
    del wandb.items[item.id]
    with reporting(wandb_client, recorded_events) as reporter:
        reporter.deliver(ended(item, "failed", message="m", stage="agent", ran=False))
        assert recorded_events.wait_for(Undeliverable)[0].reason == (
            f"The queue server did not take that item {item.id} failed: m"
        )


@pytest.mark.parametrize(("status", "state"), [("failed", "CANCELED"), ("finished", "RUNNING"), ("stopped", "RUNNING")])
def test_the_sweep_of_a_failed_scheduler_is_cancelled(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, status: str, state: str
) -> None:
    wandb.sweeps["run"] = "RUNNING"
    wandb.start_run("run")
    tell(wandb_client, recorded_events, ended(taken(wandb), status, message="m", is_scheduler=True))
    assert wandb.sweeps["run"] == state


# The log beside it.


def test_the_log_of_a_failure_lies_in_the_agents_run(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, tmp_path: Path
) -> None:
    (tmp_path / "output.log").write_text(f"no such file: data.csv\nWANDB_API_KEY={KEY}\n")
    item = taken(wandb)
    tell(wandb_client, recorded_events, ended(item, "failed", message="It broke.", directory=tmp_path))
    assert item.file_paths == [f"{item.id}/error/error.log"]
    run = wandb.runs["name-of-agent-1"]
    assert (run.state, run.job_type, run.uploaded) == ("running", "sweep-controller", item.file_paths)
    log = run.files[f"{item.id}/error/error.log"].decode()
    assert log.startswith(f"{NOT_STARTED}: It broke.\n\nThe end of output.log:\nno such file: data.csv\n")
    assert KEY not in log
    assert wandb.foreign == []


def test_what_failed_before_it_ran_shows_its_workers_log(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, tmp_path: Path
) -> None:
    (tmp_path / "worker.log").write_text("git: not found\n")
    item = taken(wandb)
    tell(wandb_client, recorded_events, ended(item, "failed", message="No git.", directory=tmp_path, ran=False))
    log = wandb.runs["name-of-agent-1"].files[f"{item.id}/error/error.log"]
    assert log == b"No git.\n\nThe end of worker.log:\ngit: not found\n"


@pytest.mark.parametrize("operation", ["UpsertBucket", "CreateRunFiles"])
def test_a_log_that_is_not_taken_does_not_hold_up_the_failure(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents, operation: str
) -> None:
    wandb.refused.add(operation)
    item = taken(wandb)
    tell(wandb_client, recorded_events, ended(item, "failed", message="It broke.", ran=False))
    assert (item.failures, item.file_paths) == ([("It broke.", "agent")], None)


def test_an_old_server_is_told_no_more_than_it_knows(recorded_events: RecordedEvents) -> None:
    with wandb_server("a", flavour=Flavour.OLD) as server:
        client = QueueServer(server.url, KEY)
        item = taken(server)
        tell(client, recorded_events, ended(item, "finished"))
        assert (item.state, item.failures) == ("FAILED", [("", "")])
        assert server.foreign == []
        client.close()


def test_the_agents_run_lives_as_long_as_the_agent(
    wandb: WandbServer, wandb_client: QueueServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_run, "HEARTBEAT_SECONDS", 0.05)
    run = AgentRun(wandb_client)
    run.note_agent(msgspec.structs.replace(known_agent(wandb_client, "agent-1"), agent_name="agent"))
    run.heartbeat()
    run.end()
    assert wandb.runs == {}
    run.upload_log(ENTITY, "agent-1", "a/error/error.log", b"why")
    beats = wandb.runs["agent"].beats
    wait_until(lambda: run.heartbeat() or wandb.runs["agent"].beats > beats + 1, what="two beats")
    run.end()
    assert wandb.runs["agent"].state == "finished"
    beats = wandb.runs["agent"].beats
    assert_stays(lambda: run.heartbeat() or wandb.runs["agent"].beats == beats, 0.2, "the end")


def test_the_log_of_an_item_taken_before_a_restart_lies_in_that_agents_run(
    wandb: WandbServer, wandb_client: QueueServer, recorded_events: RecordedEvents
) -> None:
    wandb.statuses["agent-0"] = []
    delivery = ended(taken(wandb), "failed", message="It broke.", ran=False)
    tell(wandb_client, recorded_events, msgspec.structs.replace(delivery, agent_id="agent-0"))
    assert list(wandb.runs) == ["name-of-agent-0"]


@pytest.mark.parametrize(
    "text",
    [
        "WANDB_API_KEY=hunter2",
        "export AWS_SECRET_ACCESS_KEY='hunter2'",
        '{"api_key": "hunter2"}',
        "password: hunter2",
        "Authorization: Bearer hunter2",
        "'Authorization': 'Basic hunter2'",
        "https://me:hunter2@example.com/repo.git",
        "hf_token = hunter2",
    ],
)
def test_no_secret_is_in_a_log(text: str) -> None:
    assert "hunter2" not in redact(text, ())
    assert "***" in redact(text, ())


@pytest.mark.parametrize("text", ["key error: 'a'", "loss: 0.3", "tokens per second 12", "see https://example.com/a"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert redact(text, (KEY,)) == text


def test_a_log_that_is_no_file_is_left_out(tmp_path: Path) -> None:
    """What reports on all jobs must not wait for a pipe that one of them has made, nor send what a link leads to."""
    os.mkfifo(tmp_path / "output.log")
    (tmp_path / "worker.log").symlink_to("/etc/hostname")
    for is_output in (True, False):
        assert error_text("m", tmp_path, is_output=is_output, secrets=()) == b"m\n"


def test_of_a_long_log_the_end_is_shown(tmp_path: Path) -> None:
    (tmp_path / "output.log").write_text("x" * TAIL_BYTES + "the end")
    text = error_text("m", tmp_path, is_output=True, secrets=())
    assert text.endswith(b"the end")
    assert len(text) < TAIL_BYTES + 100
