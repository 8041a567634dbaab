"""The state of the agent and of its jobs, as plain values for ``launchd status`` and systemd's status line."""

import os
import shlex
import time
from typing import Any

import msgspec

from ipc.git_address import without_credentials
from ipc.job_files import OUTPUT_FILE
from ipc.own_uv import own_uv
from ipc.run_spec import RunSpec
from launchd import __version__
from launchd.agent.events import Registered, ServerContact
from launchd.agent.job_controller import JobController
from launchd.agent.job_record import JobRecord
from launchd.agent.job_table import JobTable
from launchd.agent.journal import Journal
from launchd.agent.outbox import Outbox
from launchd.agent.time_limits import limit_of
from launchd.agent.work_orders import AgentContext
from launchd.agent.worker_pool.pool import WorkerPool
from launchd.humanize import format_job_limit, one_line

RECENT_JOBS = 20

#: Characters of a command that are shown.
LONGEST_COMMAND = 1000

#: Why the agent drains, as the rest of a sentence, where the queue server wants it.
SERVER_ASKED = "the queue server asked for it"


class AgentState(msgspec.Struct, frozen=True):
    """What the supervisor knows beside its jobs.

    ``mode`` is starting, polling, draining or leaving; ``started_at`` is in seconds since the epoch; ``problem`` is a
    sentence. ``why_draining`` is the rest of one that begins with "it drains because".
    ``environments`` has what was found of cloud, registry and cluster.
    """

    mode: str
    started_at: float
    config_path: str | None
    registered: Registered | None
    contact: ServerContact | None
    seconds_since_contact: float | None
    problem: str | None
    why_draining: str | None = None
    environments: list[dict[str, Any]] = []


def snapshot(
    state: AgentState, controller: JobController, table: JobTable, pool: WorkerPool, outbox: Outbox, journal: Journal
) -> dict[str, Any]:
    """Return everything ``launchd status`` shows."""
    now, context = time.time(), controller.context
    return {
        "agent": _agent(state, context),
        "server": _server(state, context),
        "problem": state.problem,
        "control_groups": {"root": context.groups.root, "shortcoming": context.groups.shortcoming},
        "jobs": [_job(job, context, pool, now) for job in table.jobs()],
        "recent": [_job(job, context, pool, now) for job in journal.ended_jobs(RECENT_JOBS)],
        "outbox": _outbox(outbox, now),
        "unreadable_jobs": journal.unreadable_jobs(),
        "environments": state.environments,
        "installer": "pip" if own_uv() is None else "uv",
        "counters": dict(controller.counters),
        "gpus": controller.grants.status(),
    }


def describe_job(job: JobRecord, context: AgentContext, pool: WorkerPool) -> dict[str, Any]:
    """Return what is shown of one job."""
    return _job(job, context, pool, time.time())


def status_line(state: AgentState, table: JobTable, context: AgentContext) -> str:
    """Return the agent's state in one line."""
    jobs, limit = table.count(schedulers=False), format_job_limit(context.config.max_jobs)
    server = "" if state.contact is None or state.contact.error is None else "; the queue server does not answer"
    problem = f"; {state.problem}" if state.problem else ""
    return f"{state.mode}, running {jobs} of {limit}{server}{problem}"


def _outbox(outbox: Outbox, now: float) -> dict[str, Any]:
    oldest = outbox.oldest_at
    return {
        "waiting": outbox.waiting,
        "oldest_seconds": None if oldest is None else _age(oldest, now),
        "dead": outbox.count_refused(),
    }


def _age(at: float, now: float) -> float:
    # The wall clock may have been set back since.
    return max(0.0, now - at)


def _agent(state: AgentState, context: AgentContext) -> dict[str, Any]:
    registered = state.registered
    return {
        "id": registered and registered.agent_id,
        "name": registered and registered.agent_name,
        "state": state.mode,
        "why_draining": state.why_draining,
        "undrained_by": _undrained_by(state),
        "pid": os.getpid(),
        "version": __version__,
        "started_at": state.started_at,
        "queues": list(context.config.queues),
        "entity": context.entity,
        "max_jobs": context.config.max_jobs,
        "max_schedulers": context.config.max_schedulers,
        "hostname": context.hostname,
        "config_path": state.config_path,
        "state_dir": str(context.state_dir),
    }


def _undrained_by(state: AgentState) -> str | None:
    """Return the command that ends a drain."""
    registered = state.registered
    if state.why_draining != SERVER_ASKED or registered is None:
        return state.why_draining and "launchd undrain"
    return f"launchd agent undrain {registered.agent_name}" if registered.capabilities.agent_control else None


def _server(state: AgentState, context: AgentContext) -> dict[str, Any]:
    contact = state.contact
    return {
        "url": context.base_url,
        "reachable": contact is not None and contact.error is None,
        "last_contact_seconds": state.seconds_since_contact,
        "error": contact and contact.error,
    }


def _command(spec: RunSpec) -> str:
    """Return what a job runs, in one line: its command, or else its source; empty where it is neither."""
    words = (*spec.overrides.entry_point, *spec.overrides.args)
    source = spec.job or _repository(spec) or spec.docker_image
    return one_line(shlex.join(words) if words else source)[:LONGEST_COMMAND]


def _repository(spec: RunSpec) -> str | None:
    try:
        return spec.git.repo and without_credentials(spec.git.repo)[0]
    except ValueError:
        return None  # It is no address: the job fails with that.


def _job(job: JobRecord, context: AgentContext, pool: WorkerPool, now: float) -> dict[str, Any]:
    worker = pool.worker_of(job.item_id)
    directory, limit = context.job_directory(job.name), limit_of(job, context)
    return {
        "item_id": job.item_id,
        "queue": job.queue,
        "run_id": job.spec.run_id,
        "entity": job.spec.entity,
        "project": job.spec.project,
        "name": job.spec.name,
        "author": job.spec.author,
        "command": _command(job.spec),
        "scheduler": job.spec.is_scheduler,
        "phase": str(job.state),
        "status": job.status,
        "age_seconds": _age(job.claimed_at, now),
        "phase_seconds": _age(job.state_at, now),
        "attempt": job.attempt,
        "started_at": job.started_at,
        "time_limit_seconds": limit and limit[0],
        "worker_pid": worker and worker.pid,
        "workload_name": job.name,
        "directory": directory,
        "log_path": f"{directory}/{OUTPUT_FILE}",
        "message": job.message,
        "stop_reason": job.stop_reason,
        "exit_code": job.exit_code,
        "cpu_seconds": job.result and job.result.cpu_seconds,
        "peak_memory_bytes": job.result and job.result.peak_memory_bytes,
        "gpu_use": msgspec.to_builtins(job.gpu_use),
    }
