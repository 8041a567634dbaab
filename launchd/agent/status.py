"""How the agent stands, as plain values for ``launchd status`` and systemd's status line."""

import os
import time
from typing import Any

import msgspec

from ipc.job_files import OUTPUT_FILE
from launchd import __version__
from launchd.agent.events import Contact, Registered
from launchd.agent.job_controller import Care
from launchd.agent.job_record import JobRecord
from launchd.agent.journal import Journal
from launchd.agent.outbox import Outlet
from launchd.agent.work_orders import Rules
from launchd.agent.worker_pool.pool import Staff
from launchd.humanize import limit_in_words

RECENT_JOBS = 20


class Standing(msgspec.Struct, frozen=True):
    """What the supervisor itself knows beside its jobs. ``state`` is starting, polling, draining or leaving."""

    state: str
    started_at: float
    config_path: str | None
    registered: Registered | None
    contact: Contact | None
    last_contact_at: float | None
    trouble: str | None


def snapshot(standing: Standing, care: Care, staff: Staff, outlet: Outlet, journal: Journal) -> dict[str, Any]:
    """Return everything ``launchd status`` shows."""
    now = time.time()
    return {
        "agent": _agent(standing, care.rules),
        "server": _server(standing, care.rules, now),
        "trouble": standing.trouble,
        "jobs": [_job(job, care.rules, staff, now) for job in care.jobs()],
        "recent": [_job(job, care.rules, staff, now) for job in journal.ended_jobs(RECENT_JOBS)],
        "outbox": {"waiting": outlet.waiting, "oldest_seconds": outlet.oldest_at and now - outlet.oldest_at},
        "counters": dict(care.counters),
    }


def describe_job(job: JobRecord, rules: Rules, staff: Staff) -> dict[str, Any]:
    """Return what is shown of one job."""
    return _job(job, rules, staff, time.time())


def sentence(standing: Standing, care: Care) -> str:
    """Return the agent's state in one line."""
    jobs, limit = care.count(schedulers=False), limit_in_words(care.rules.config.max_jobs)
    server = "" if standing.contact is None or standing.contact.error is None else "; the queue server does not answer"
    trouble = f"; {standing.trouble}" if standing.trouble else ""
    return f"{standing.state}, running {jobs} of {limit}{server}{trouble}"


def _agent(standing: Standing, rules: Rules) -> dict[str, Any]:
    registered = standing.registered
    return {
        "id": registered and registered.agent_id,
        "name": registered and registered.agent_name,
        "state": standing.state,
        "pid": os.getpid(),
        "version": __version__,
        "started_at": standing.started_at,
        "queues": list(rules.config.queues),
        "entity": rules.entity,
        "max_jobs": rules.config.max_jobs,
        "max_schedulers": rules.config.max_schedulers,
        "hostname": rules.hostname,
        "config_path": standing.config_path,
        "state_dir": str(rules.state_dir),
    }


def _server(standing: Standing, rules: Rules, now: float) -> dict[str, Any]:
    contact = standing.contact
    return {
        "url": rules.base_url,
        "reachable": contact is not None and contact.error is None,
        "last_contact_seconds": standing.last_contact_at and now - standing.last_contact_at,
        "error": contact and contact.error,
    }


def _job(job: JobRecord, rules: Rules, staff: Staff, now: float) -> dict[str, Any]:
    worker = staff.worker_of(job.item_id)
    directory = rules.job_directory(job.name)
    return {
        "item_id": job.item_id,
        "queue": job.queue,
        "run_id": job.spec.run_id,
        "entity": job.spec.entity,
        "project": job.spec.project,
        "name": job.spec.name,
        "scheduler": job.spec.is_scheduler,
        "phase": str(job.state),
        "status": job.status,
        "age_seconds": now - job.claimed_at,
        "phase_seconds": now - job.state_at,
        "attempt": job.attempt,
        "worker_pid": worker and worker.pid,
        "external_name": job.name,
        "directory": directory,
        "log_path": f"{directory}/{OUTPUT_FILE}",
        "message": job.message,
        "stop_reason": job.stop_reason,
        "exit_code": job.exit_code,
    }
