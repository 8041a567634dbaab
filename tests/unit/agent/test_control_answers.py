"""What requests on the control socket are answered, after the commit."""

from collections.abc import Callable
from typing import Any, cast

import pytest

from launchd.agent.configuration import Configuration
from launchd.agent.control.handler import ControlHandler, completed
from launchd.agent.mode import AgentMode
from launchd.agent.status import AgentState
from launchd.agent.worker_pool.pool import WorkerPool
from tests.support.controller_harness import ControllerHarness


def handler_of(harness: ControllerHarness) -> ControlHandler:
    return ControlHandler(
        harness.controller,
        harness.table,
        cast(WorkerPool, harness.pool),
        harness.outbox,
        harness.journal,
        cast(AgentMode, None),
        cast(Configuration, None),
        cast(Callable[[], AgentState], None),
    )


def test_a_stop_that_cannot_be_kept_says_so(harness: ControllerHarness) -> None:
    harness.claim()
    answer = handler_of(harness).answer({"command": "stop", "item": "a"})
    assert harness.journal.commit_requested
    assert completed(answer, None) == {"ok": True, "item": "a"}
    kept = completed(answer, "The disk is full.")
    assert kept["warning"].startswith("The job is being stopped, but that cannot be kept: The disk is full.")


def test_other_answers_have_no_warning() -> None:
    assert completed({"ok": True}, "The disk is full.") == {"ok": True}


@pytest.mark.parametrize("item", ["d\udce9faut", "\0", "x" * 70_000, ""])
def test_a_stop_of_no_job_is_refused(harness: ControllerHarness, item: str) -> None:
    assert handler_of(harness).answer({"command": "stop", "item": item})["ok"] is False


def test_what_the_server_refused_is_shown_and_sent_again(harness: ControllerHarness) -> None:
    harness.unknown("a")
    harness.unknown("b")
    rows = harness.outbox.undelivered()
    handler = handler_of(harness)
    harness.outbox.refused((rows[0].id,), "No.", 1.0)
    harness.commit()

    listed = handler.answer({"command": "outbox"})
    assert [row["item_id"] for row in listed["waiting"]] == ["b"]
    (dead,) = listed["dead"]
    assert (dead["id"], dead["item_id"], dead["kind"], dead["reason"]) == (rows[0].id, "a", "outcome", "No.")
    assert dead["summary"].startswith("failed: The agent on ")

    assert handler.answer({"command": "retry", "ids": [rows[1].id]}) == {"ok": True, "retried": 0}
    assert handler.answer({"command": "retry", "ids": None}) == {"ok": True, "retried": 1}
    harness.commit()
    assert (harness.outbox.waiting, harness.outbox.refused_deliveries()) == (2, [])


def test_what_the_server_refused_is_dropped_and_nothing_else(
    harness: ControllerHarness, caplog: pytest.LogCaptureFixture
) -> None:
    for item in ("a", "b", "c"):
        harness.unknown(item)
    refused, also_refused, waiting = [row.id for row in harness.outbox.undelivered()]
    harness.outbox.refused((refused, also_refused), "No.", 1.0)
    harness.commit()
    handler = handler_of(harness)

    assert handler.answer({"command": "drop", "ids": [refused, waiting]}) == {"ok": True, "dropped": 1}
    harness.commit()
    listed = handler.answer({"command": "outbox"})
    assert ([row["id"] for row in listed["waiting"]], [row["id"] for row in listed["dead"]]) == (
        [waiting],
        [also_refused],
    )
    (said,) = [record for record in caplog.records if "dropped on request" in record.message]
    assert said.__dict__["item"] == "a"

    assert handler.answer({"command": "drop", "ids": None}) == {"ok": True, "dropped": 1}
    harness.commit()
    assert handler.answer({"command": "outbox"})["dead"] == []


@pytest.mark.parametrize("ids", ["1", [1.5], [True], {"1": 2}, [None]])
@pytest.mark.parametrize("command", ["retry", "drop"])
def test_a_retry_of_no_rows_is_refused(harness: ControllerHarness, command: str, ids: Any) -> None:
    assert handler_of(harness).answer({"command": command, "ids": ids})["ok"] is False
