"""Bodies of the outbox's rows: read as they were written, by this version and by earlier ones."""

import json
import math

import pytest

from launchd.agent.deliveries import (
    DeliveryBody,
    JobEnd,
    JobOutcome,
    JobWarning,
    RequeuedRun,
    body_fields,
    decode_outcome,
    decode_requeue,
    decode_warning,
)
from launchd.client.queue_server import Report

REPORT = Report("item", 7, "failed", "failed", "It broke.", "run", 3, 12.5)
END = JobEnd("me", "p", "r", "/var/lib/launch-agent/jobs/a", ran=True, is_scheduler=True)

#: As versions before this layout wrote it: the fields of the report, with the job's end among them.
FLAT = (
    '{"runQueueItemId": "item", "sequence": 7, "status": "failed", "phase": "failed", "message": "It broke.",'
    ' "stage": "run", "exitCode": 3, "occurredAt": 12.5'
)
ENDING = (
    ', "ending": {"entity": "me", "project": "p", "run_id": "r", "directory": "/var/lib/launch-agent/jobs/a",'
    ' "ran": true, "is_scheduler": true}'
)


def written(body: DeliveryBody) -> str:
    return json.dumps(body_fields(body))


@pytest.mark.parametrize("outcome", [JobOutcome(REPORT, END), JobOutcome(Report("item", 1, "finished"))])
def test_an_outcome_is_read_as_it_was_written(outcome: JobOutcome) -> None:
    assert decode_outcome(written(outcome)) == outcome


@pytest.mark.parametrize(
    ("row", "end"), [(FLAT + ENDING + "}", END), (FLAT + "}", None), (FLAT + ', "ending": null}', None)]
)
def test_an_outcome_of_an_earlier_version_is_read(row: str, end: JobEnd | None) -> None:
    assert decode_outcome(row) == JobOutcome(REPORT, end)


def test_an_outcome_without_more_than_earlier_versions_knew_is_read() -> None:
    ending = '{"entity": "e", "project": "p", "run_id": "r", "directory": "d", "ran": false}'
    row = f'{{"runQueueItemId": "i", "sequence": 1, "status": "stopped", "ending": {ending}}}'
    assert decode_outcome(row) == JobOutcome(Report("i", 1, "stopped"), JobEnd("e", "p", "r", "d", ran=False))


def test_a_warning_is_read_in_the_one_layout_that_there_is() -> None:
    assert written(JobWarning("m", "run")) == '{"message": "m", "stage": "run"}'
    assert decode_warning('{"message": "m", "stage": "run"}') == JobWarning("m", "run")


def test_a_requeued_run_keeps_every_value_of_its_spec() -> None:
    spec = {"run_id": "r", "seed": 2**80, "lr": math.inf, "tags": ["ä", None]}
    run = RequeuedRun("me", "a", spec)
    assert decode_requeue(written(run)) == run
    assert decode_requeue('{"entity": "me", "queue": "a", "run_spec": {"run_id": "r"}}').run_spec == {"run_id": "r"}
    assert math.isnan(decode_requeue('{"entity": "e", "queue": "q", "run_spec": {"x": NaN}}').run_spec["x"])
