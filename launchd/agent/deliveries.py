"""What the queue server has to be told of a job, and how the rows of the journal's outbox keep it.

A row has a kind and a body. The body is one of the structs below, encoded as JSON.
"""

import json
from typing import Any, ClassVar

import msgspec

from launchd.agent.job_record import JobRecord
from launchd.client.queue_server import HeldItem, Report


class JobEnd(msgspec.Struct, frozen=True):
    """Facts about a job that is over, beside its report; a W&B server is told of some outcomes only.

    ``entity``, ``project`` and ``run_id`` name the run that the job was to become. ``directory`` is the job's, with its
    logs. ``ran`` says whether the job had a process, or the like, that ended.
    """

    entity: str
    project: str
    run_id: str
    directory: str
    ran: bool
    is_scheduler: bool = False


class JobOutcome(msgspec.Struct, frozen=True):
    """The outcome of a job. ``end`` is missing in rows of early versions only."""

    kind: ClassVar[str] = "outcome"

    report: Report
    end: JobEnd | None = None


class JobWarning(msgspec.Struct, frozen=True):
    """A warning about a job that goes on; ``stage`` is W&B's word for where it arose."""

    kind: ClassVar[str] = "warning"

    message: str
    stage: str


class RequeuedRun(msgspec.Struct, frozen=True):
    """The run of a preempted job, which goes back into ``queue`` of ``entity``."""

    kind: ClassVar[str] = "requeue"

    entity: str
    queue: str
    run_spec: dict[str, Any]


DeliveryBody = JobOutcome | JobWarning | RequeuedRun


class _StoredOutcome(msgspec.Struct, frozen=True):
    """Both layouts of an outcome's row: ``report`` and ``end``, or ``ending`` among the fields of the report."""

    report: Report | None = None
    end: JobEnd | None = None
    ending: JobEnd | None = None


_outcome_decoder = msgspec.json.Decoder(_StoredOutcome)
_report_decoder = msgspec.json.Decoder(Report)
_warning_decoder = msgspec.json.Decoder(JobWarning)


def report_of(job: JobRecord) -> Report:
    """Return the report on ``job`` in its present state."""
    return Report(
        item_id=job.item_id,
        sequence=job.sequence,
        status=job.status,
        phase=str(job.state),
        message=job.message,
        stage=job.stage,
        exit_code=job.exit_code,
        occurred_at=job.state_at,
        lease=job.lease or None,
    )


def held_item(job: JobRecord) -> HeldItem:
    """Return ``job`` as an item that this agent holds."""
    return HeldItem(job.item_id, job.lease, job.spec.run_id, job.acknowledged)


def outcome_of(job: JobRecord, directory: str) -> JobOutcome:
    """Return the outcome of ``job``, which is over; ``directory`` is the job's."""
    spec = job.spec
    ran = job.may_exist_outside and job.result is not None
    end = JobEnd(spec.entity, spec.project, spec.run_id, directory, ran, spec.is_scheduler)
    return JobOutcome(report_of(job), end)


def body_fields(body: DeliveryBody) -> dict[str, object]:
    """Return ``body`` as the JSON object that a row keeps."""
    fields: dict[str, object] = msgspec.to_builtins(body)
    return fields


def decode_outcome(body: str) -> JobOutcome:
    """Return the outcome in the body of a row, in the layout of this version or of an earlier one."""
    stored = _outcome_decoder.decode(body)
    if stored.report is not None:
        return JobOutcome(stored.report, stored.end)
    return JobOutcome(_report_decoder.decode(body), stored.ending)


def decode_warning(body: str) -> JobWarning:
    """Return the warning in the body of a row."""
    return _warning_decoder.decode(body)


def decode_requeue(body: str) -> RequeuedRun:
    """Return the requeued run in the body of a row."""
    # Not by msgspec: run specs may hold NaN and numbers of any length.
    return RequeuedRun(**json.loads(body))


def summary(kind: str, body: str) -> str:
    """Return in a few words what a row says."""
    try:
        match kind:
            case JobOutcome.kind:
                report = decode_outcome(body).report
                return f"{report.status}: {report.message}" if report.message else report.status
            case JobWarning.kind:
                return decode_warning(body).message
            case _:
                return f"run {decode_requeue(body).run_spec.get('run_id')} into queue {decode_requeue(body).queue}"
    except (ValueError, TypeError) as error:
        # What is msgspec's of these is a ValueError, too.
        return f"cannot be read: {error}"
