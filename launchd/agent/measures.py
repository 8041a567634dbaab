"""What the agent counts and times about its jobs, and the metrics that this and its present state become.

Main thread only. Loads nothing of Prometheus: what serves the metrics is a process of its own (`exporter_link`).
"""

import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ipc.exits import WorkerExit
from ipc.states import TERMINAL_STATES, JobState
from launchd import __version__
from launchd.agent.events import Polled, SlotKind
from launchd.agent.job_record import JobRecord
from launchd.agent.job_table import ActiveJob, JobTable
from launchd.metrics.model import LONG_SECONDS, SECONDS, Family, Kind, Metric
from launchd.metrics.recorder import Recorder, gauge

#: Why a worker died, as a label: by an error of its own, without an outcome, by a signal of others, for want of the
#: host's, with the fork server, ended for its silence or for a phase that took too long, or before it had a job.
DEATHS = ("error", "no_outcome", "signal", "starved", "fork_server", "silence", "timeout", "idle")

_COUNTER, _GAUGE, _HISTOGRAM = Kind.COUNTER, Kind.GAUGE, Kind.HISTOGRAM
_MODES = ("starting", "polling", "draining", "leaving")

INFO = Metric("launchd_agent_info", _GAUGE, "1, with the version of the agent.", ("version",))
STARTED = Metric("launchd_agent_start_time_seconds", _GAUGE, "When the agent's process started, since the epoch.")
MEMORY = Metric("launchd_agent_resident_memory_bytes", _GAUGE, "Memory of the agent's supervisor.")
MODE = Metric("launchd_agent_mode", _GAUGE, "1 for what the agent is doing, 0 for the rest.", ("mode",))
PROBLEM = Metric(
    "launchd_agent_problem",
    _GAUGE,
    "1 while the agent takes no new jobs though it has slots; `launchd status` says why.",
)
SERVER_REACHABLE = Metric("launchd_agent_server_reachable", _GAUGE, "1 while the queue server answers.")
SERVER_SILENCE = Metric(
    "launchd_agent_server_silence_seconds", _GAUGE, "Since the queue server's last answer; without any, not there."
)
POLL_SECONDS = Metric(
    "launchd_agent_poll_seconds",
    _HISTOGRAM,
    "One claim at the queue server, repeated requests and the server's waiting for items included, by what it brought.",
    ("result",),
    SECONDS,
    known=("items", "nothing"),
)
PICKUP_SECONDS = Metric(
    "launchd_agent_pickup_seconds",
    _HISTOGRAM,
    "From the claim of an item to its running workload, fetch, build and waiting for GPUs included.",
    ("queue",),
    LONG_SECONDS,
)
PHASE_SECONDS = Metric(
    "launchd_agent_phase_seconds",
    _HISTOGRAM,
    "How long jobs were in a phase, when they left it.",
    ("phase",),
    LONG_SECONDS,
    known=tuple(state for state in JobState if state not in TERMINAL_STATES),
)
JOBS = Metric("launchd_agent_jobs", _GAUGE, "Active jobs by queue and state.", ("queue", "state"))
JOBS_ENDED = Metric(
    "launchd_agent_jobs_ended_total", _COUNTER, "Jobs that ended, by queue and outcome.", ("queue", "outcome")
)
SLOTS = Metric("launchd_agent_slots", _GAUGE, "How many jobs the agent takes at a time; no limit is +Inf.", ("kind",))
SLOTS_USED = Metric("launchd_agent_slots_used", _GAUGE, "Slots that jobs have.", ("kind",))
WORKER_DEATHS = Metric(
    "launchd_agent_worker_deaths_total", _COUNTER, "Workers that were lost, by cause.", ("cause",), known=DEATHS
)
BUILDS = Metric(
    "launchd_agent_builds_total",
    _COUNTER,
    "Environments and images that jobs needed: built, or reused from the cache.",
    ("kind", "result"),
)
OUTBOX = Metric("launchd_agent_outbox_deliveries", _GAUGE, "Deliveries that wait for the queue server.")
OUTBOX_AGE = Metric("launchd_agent_outbox_oldest_seconds", _GAUGE, "Age of the oldest of them; 0 where none waits.")
DEAD_LETTERS = Metric(
    "launchd_agent_dead_letters", _GAUGE, "Deliveries that the queue server does not take; `launchd outbox` shows them."
)
UNREADABLE = Metric("launchd_agent_unreadable_records", _GAUGE, "Records of the journal that cannot be read.")
GPUS = Metric("launchd_agent_gpus", _GAUGE, "GPUs of the host by what they are.", ("state",))
GPU_LEASED = Metric("launchd_agent_gpu_leased", _GAUGE, "1 while a job has the GPU.", ("gpu",))
GPU_UTILISATION = Metric(
    "launchd_agent_gpu_utilisation_ratio", _GAUGE, "How busy the GPU was when it was last looked at.", ("gpu",)
)
GPU_MEMORY = Metric("launchd_agent_gpu_memory_used_bytes", _GAUGE, "Memory of the GPU that is used.", ("gpu",))
GPU_MEMORY_TOTAL = Metric("launchd_agent_gpu_memory_bytes", _GAUGE, "Memory of the GPU.", ("gpu",))

RECORDED = (POLL_SECONDS, PICKUP_SECONDS, PHASE_SECONDS, JOBS_ENDED, WORKER_DEATHS, BUILDS)
METRICS = (
    *(INFO, STARTED, MEMORY, MODE, PROBLEM, SERVER_REACHABLE, SERVER_SILENCE),
    *RECORDED,
    *(JOBS, SLOTS, SLOTS_USED, OUTBOX, OUTBOX_AGE, DEAD_LETTERS, UNREADABLE),
    *(GPUS, GPU_LEASED, GPU_UTILISATION, GPU_MEMORY, GPU_MEMORY_TOTAL),
)


class AgentMeasures:
    """What happened since the start of the agent."""

    def __init__(self) -> None:
        self._recorder = Recorder(RECORDED)

    def polled(self, poll: Polled) -> None:
        """Count a claim."""
        self._recorder.observe(POLL_SECONDS, poll.seconds, "items" if poll.found else "nothing")

    def phase_left(self, job: JobRecord, seconds: float) -> None:
        """Count the time for which ``job`` was in its state."""
        self._recorder.observe(PHASE_SECONDS, seconds, str(job.state))

    def picked_up(self, job: JobRecord, seconds: float) -> None:
        """Count the time from the claim of ``job`` until it ran."""
        self._recorder.observe(PICKUP_SECONDS, seconds, job.queue)

    def job_ended(self, job: JobRecord) -> None:
        """Count a job that is over."""
        self._recorder.count(JOBS_ENDED, job.queue, str(job.state))

    def built(self, kind: str, *, reused: bool) -> None:
        """Count what was built for a job, or found built before."""
        self._recorder.count(BUILDS, kind, "reused" if reused else "built")

    def worker_died(self, cause: str) -> None:
        """Count a worker that was lost, for a cause out of :data:`DEATHS`."""
        self._recorder.count(WORKER_DEATHS, cause)

    def families(self) -> list[Family]:
        """Return what was counted up to now."""
        return self._recorder.families()


def cause_of_death(exit_code: int, *, was_killed: bool, active: ActiveJob | None) -> str:
    """Return why a worker was lost, out of :data:`DEATHS`; ``was_killed``: by the agent itself."""
    if active is None:
        return "idle"
    if was_killed:
        return "silence" if active.timeout_error is None else "timeout"
    causes: dict[int, str] = {
        WorkerExit.DONE: "no_outcome",
        WorkerExit.STARVED: "starved",
        WorkerExit.UNKNOWN: "fork_server",
    }
    return causes.get(exit_code, "signal" if exit_code < 0 else "error")


def state_families(status: Mapping[str, Any], table: JobTable) -> list[Family]:
    """Return the gauges of an agent with this status (`launchd.agent.status.snapshot`) and these jobs."""
    agent, server = status["agent"], status["server"]
    return [
        gauge(INFO, {(__version__,): 1.0}),
        _one(STARTED, agent["started_at"]),
        _one(MEMORY, _resident_bytes()),
        gauge(MODE, {(mode,): float(mode == agent["state"]) for mode in _MODES}),
        _one(PROBLEM, status["problem"] is not None),
        _one(SERVER_REACHABLE, server["reachable"]),
        _one(SERVER_SILENCE, server["last_contact_seconds"]),
        *_job_families(agent, table),
        *_outbox_families(status["outbox"]),
        _one(UNREADABLE, len(status["unreadable_jobs"])),
        *_gpu_families(status["gpus"]),
    ]


def _one(metric: Metric, value: float | None) -> Family:
    return gauge(metric, {} if value is None else {(): float(value)})


def _job_families(agent: Mapping[str, Any], table: JobTable) -> list[Family]:
    jobs = Counter((job.queue, str(job.state)) for job in table.jobs())
    # Those that the configuration names are there before their first job.
    queues = {(queue, str(JobState.RUNNING)): 0 for queue in agent["queues"]}
    limits = {SlotKind.JOB: agent["max_jobs"], SlotKind.SCHEDULER: agent["max_schedulers"]}
    return [
        gauge(JOBS, queues | jobs),
        gauge(SLOTS, {(str(kind),): math.inf if most < 0 else float(most) for kind, most in limits.items()}),
        gauge(SLOTS_USED, {(str(kind),): table.count(kind is SlotKind.SCHEDULER) for kind in SlotKind}),
    ]


def _outbox_families(outbox: Mapping[str, Any]) -> list[Family]:
    return [
        _one(OUTBOX, outbox["waiting"]),
        _one(OUTBOX_AGE, outbox["oldest_seconds"] or 0.0),
        _one(DEAD_LETTERS, outbox["dead"]),
    ]


def _gpu_families(gpus: Mapping[str, Any] | None) -> list[Family]:
    rows: Iterable[Mapping[str, Any]] = (gpus or {}).get("gpus") or ()
    states = Counter(dict.fromkeys(("leased", "free", "set_aside", "busy"), 0))
    states.update(map(_gpu_state, rows))
    by_label = {(str(row["label"]),): row for row in rows}
    return [
        gauge(GPUS, {(state,): number for state, number in states.items()}),
        gauge(GPU_LEASED, {label: float(row["item_id"] is not None) for label, row in by_label.items()}),
        gauge(GPU_UTILISATION, {label: row["utilisation"] / 100 for label, row in _with(by_label, "utilisation")}),
        gauge(GPU_MEMORY, {label: row["memory_used"] for label, row in _with(by_label, "memory_used")}),
        gauge(GPU_MEMORY_TOTAL, {label: row["memory"] for label, row in _with(by_label, "memory")}),
    ]


Rows = Mapping[tuple[str], Mapping[str, Any]]


def _with(rows: Rows, name: str) -> list[tuple[tuple[str], Mapping[str, Any]]]:
    return [(label, row) for label, row in rows.items() if row[name] is not None]


def _gpu_state(row: Mapping[str, Any]) -> str:
    if row["item_id"] is not None:
        return "leased"
    if row["set_aside"] is not None:
        return "set_aside"
    return "free" if row["hindrance"] is None else "busy"


def _resident_bytes() -> float | None:
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    except OSError:
        return None
