"""A job's record and its transitions.

Pure data and pure functions: no clock, no file, no process. The job table holds the records, the journal keeps them.
"""

import json
from pathlib import Path
from typing import Any

import msgspec

from ipc.boot_clock import BootMoment
from ipc.errors import ErrorReport
from ipc.exits import describe
from ipc.gpus import GpuUse
from ipc.handles import ExitResult, Handle, attempt_names
from ipc.run_spec import RunSpec
from ipc.states import TERMINAL_STATES, IllegalTransition, JobState, check_transition, status_word

#: How often W&B's agent puts a preempted run back.
MAX_RESUMES = 5


class JobRecord(msgspec.Struct, frozen=True):
    """One job. Times are seconds since the epoch.

    Its fields are JSON in the journal: a field may be added with a default, and is never renamed.

    ``agent_id`` is the id under which this agent claimed it, which a change of its queues replaces. ``lease`` is the
    number of the item's lease; at a W&B server, which numbers none, it counts the further leases. ``attempt`` counts
    the starts of the job, from 1; ``name`` is the workload name of that attempt. ``sequence`` counts the changes, and
    is in the journal before the queue server sees it. ``recorded`` says that the workload may exist outside;
    ``acknowledged`` that the queue server confirmed the item as this agent's; ``losses`` counts the workers that died
    over this job in a row. ``stop_reason`` is set once the job is to be stopped, ``failure`` where it fails once its
    workload has been stopped. ``raw_spec`` is empty where only the work order of the job was left. ``user`` and
    ``fetch_user`` are the numbers of the users that the job and what fetches its source run as, None where these are
    not out of a range. ``gpu_use`` is what the GPUs of an ended job did for it. ``started`` is when its workload was
    started, in boot time, and ``started_at`` the same by the wall clock; None while it has not run.
    """

    item_id: str
    agent_id: str
    queue: str
    name: str
    attempt: int
    spec: RunSpec
    raw_spec: str
    claimed_at: float
    lease: int = 0
    state: JobState = JobState.CLAIMED
    state_at: float = 0.0
    sequence: int = 0
    acknowledged: bool = False
    submitter_key: bool = False
    recorded: bool = False
    handle: Handle | None = None
    losses: int = 0
    stop_reason: str | None = None
    failure: ErrorReport | None = None
    message: str | None = None
    stage: str | None = None
    result: ExitResult | None = None
    user: int | None = None
    fetch_user: int | None = None
    gpu_use: tuple[GpuUse, ...] = ()
    started: BootMoment | None = None
    started_at: float | None = None

    @property
    def is_over(self) -> bool:
        """Whether the job reached a terminal state."""
        return self.state in TERMINAL_STATES

    @property
    def may_exist_outside(self) -> bool:
        """Whether a workload of this job may exist: not before its name was recorded."""
        return self.recorded

    @property
    def key_name(self) -> str:
        """The name under which the submitter's API key is kept: the workload name of the first attempt."""
        return attempt_names(self.name, 1)[0]

    @property
    def status(self) -> str:
        """W&B's status word."""
        return status_word(self.state)

    @property
    def exit_code(self) -> int | None:
        """The exit code as a shell shows it: 128 + the signal's number for a killed process."""
        if self.result is None:
            return None
        return self.result.code if self.result.signal is None else 128 + self.result.signal


def job_directory(state_dir: Path, name: str) -> str:
    """Return the path of the directory of the attempt with this workload name."""
    # A text, for a Path would intern the job's name: see `ipc.work_order`.
    return f"{state_dir}/jobs/{name}"


def transition(job: JobRecord, state: JobState, now: float, message: str | None = None) -> JobRecord:
    """Return ``job`` in ``state``; the same state again only brings a new message.

    Raises:
        IllegalTransition: the table of states does not allow it.
    """
    if state is job.state:
        return msgspec.structs.replace(job, message=message, sequence=job.sequence + 1)
    check_transition(job.state, state)
    return msgspec.structs.replace(job, state=state, state_at=now, message=message, sequence=job.sequence + 1)


def finish(job: JobRecord, state: JobState, result: ExitResult, now: float) -> JobRecord:
    """Return ``job`` ended in ``state`` with ``result``, and a sentence that says why.

    Raises:
        IllegalTransition: ``state`` is no terminal state, or the table does not allow it.
    """
    if state not in TERMINAL_STATES:
        raise IllegalTransition(job.state, state)
    over = transition(job, state, now, _outcome_sentence(job, state, result))
    return msgspec.structs.replace(over, result=result, stage="run" if state is JobState.FAILED else None)


def fail(job: JobRecord, report: ErrorReport, now: float) -> JobRecord:
    """Return ``job`` failed for the reason in ``report``."""
    return msgspec.structs.replace(transition(job, JobState.FAILED, now, report.sentence()), stage=report.stage)


def restart(job: JobRecord, now: float, message: str) -> JobRecord:
    """Return ``job`` waiting for its next attempt, under a workload name of its own; ``message`` says why.

    Only for a job whose workload cannot exist outside.
    """
    waiting = job if job.state is JobState.CLAIMED else transition(job, JobState.CLAIMED, now, message)
    attempt = job.attempt + 1
    return msgspec.structs.replace(waiting, attempt=attempt, name=attempt_names(job.name, attempt)[-1])


def requeued_spec(job: JobRecord, agent_entity: str) -> dict[str, Any] | None:
    """Return the run spec with which a preempted job goes back into its queue, or ``None`` when it does not.

    As W&B's agent does it: only for runs of the agent's own entity, at most
    :data:`MAX_RESUMES` times, under the same run id and without the sweep.
    """
    if job.spec.entity != agent_entity or job.spec.resume_count >= MAX_RESUMES or not job.raw_spec:
        return None
    spec: dict[str, Any] = json.loads(job.raw_spec)
    spec.pop("sweep_id", None)
    return spec | {"run_id": job.spec.run_id, "_resume_count": job.spec.resume_count + 1}


def _outcome_sentence(job: JobRecord, state: JobState, result: ExitResult) -> str | None:
    match state:
        case JobState.STOPPED if job.stop_reason:
            return f"The job was stopped: {job.stop_reason}."
        case _ if result.message:
            return result.message
        case JobState.STOPPED:
            return "The job was stopped."
        case JobState.FAILED if result.oom_killed:
            return "The job ran out of memory and was killed."
        case JobState.FAILED if result.signal is not None:
            return f"The job's process {describe(-result.signal)}."
        case JobState.FAILED:
            return f"The job's process ended with exit code {result.code}."
        case _:
            return None
