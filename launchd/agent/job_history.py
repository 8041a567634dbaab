"""What ran on this host: an entry for each job that ended, kept for long after the job itself is forgotten.

An entry is a row of the journal's table ``history``, written with the commit that has the job's end, and never changed.
Pure: the table is the journal's.
"""

import msgspec

from ipc.gpus import GpuUse
from ipc.handles import ExitResult
from launchd.agent.job_record import JobRecord


class HistoryEntry(msgspec.Struct, frozen=True):
    """One job that ended. Times are in seconds, moments since the epoch; what is not known is None.

    Its fields are JSON in the journal: a field may be added with a default, and is never renamed.

    ``user`` is the author of the run spec, ``workload`` the name of the last attempt, ``attempt`` its number.
    ``seconds`` is how long the workload ran, from its start to its end; ``ended_at`` is when the agent learned of the
    end. ``gpu_use`` has an entry for each GPU that the job had, ``gpu_seconds`` is their number times the seconds.
    """

    item_id: str
    queue: str
    outcome: str
    ended_at: float
    claimed_at: float
    run_id: str = ""
    entity: str = ""
    project: str = ""
    name: str | None = None
    user: str | None = None
    resource: str = ""
    job: str | None = None
    sweep_id: str | None = None
    is_scheduler: bool = False
    workload: str = ""
    attempt: int = 1
    started_at: float | None = None
    seconds: float | None = None
    exit_code: int | None = None
    why: str | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    gpus: int = 0
    gpu_seconds: float | None = None
    gpu_use: tuple[GpuUse, ...] = ()


def entry_of(job: JobRecord, seconds: float | None) -> HistoryEntry:
    """Return the entry of an ended ``job``, which ran for ``seconds`` where its result does not say better."""
    used = job.result or ExitResult()
    ran = used.run_seconds if used.run_seconds is not None else seconds
    began = job.state_at - ran if job.started_at is None and ran is not None else job.started_at
    spec, gpus = job.spec, len(job.gpu_use)
    return HistoryEntry(
        item_id=job.item_id,
        queue=job.queue,
        outcome=str(job.state),
        ended_at=job.state_at,
        claimed_at=job.claimed_at,
        run_id=spec.run_id,
        entity=spec.entity,
        project=spec.project,
        name=spec.name,
        user=spec.author,
        resource=spec.resource,
        job=spec.job,
        sweep_id=spec.sweep_id,
        is_scheduler=spec.is_scheduler,
        workload=job.name,
        attempt=job.attempt,
        started_at=began,
        seconds=ran,
        exit_code=job.exit_code,
        why=job.message,
        cpu_seconds=used.cpu_seconds,
        peak_memory_bytes=used.peak_memory_bytes,
        gpus=gpus,
        gpu_seconds=gpus * ran if gpus and ran is not None else None,
        gpu_use=job.gpu_use,
    )
