"""A job controller in the test's own process: over a real journal and outbox, and stubs of worker pool, reporter
and clock.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from ipc.boot_clock import BootMoment
from ipc.exits import WorkerExit
from ipc.handles import Handle
from ipc.messages import Command, Event, PhaseChanged, Start, SubmitApproved, Submitted, Submitting
from ipc.settings import JobsConfig
from ipc.states import JobState
from launchd.agent.deliveries import decode_outcome
from launchd.agent.events import Acknowledged
from launchd.agent.gpus.pool import GpuPool
from launchd.agent.job_controller import JobController
from launchd.agent.job_record import JobRecord
from launchd.agent.job_table import JobTable
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.agent.journal_file import JournalError
from launchd.agent.journal_queries import find_job
from launchd.agent.outbox import Outbox
from launchd.agent.outbox_rows import Delivery
from launchd.agent.server_link.protocol import Acknowledgement
from launchd.agent.server_link.reporter import Reporter
from launchd.agent.submitter_keys import SubmitterKeys
from launchd.agent.work_orders import AgentContext
from launchd.client.queue_server import ClaimedItem, HeldByServer, ItemAnswer, Report, Resumed, StopRequest
from launchd.config import AgentConfig, LaunchdConfig
from launchd.config.model import GpusConfig

AGENT = "agent-1"
SPEC: dict[str, Any] = {
    "entity": "me",
    "project": "demo",
    "resource": "local-process",
    "overrides": {"entry_point": ["true"]},
}


@dataclass
class ManualClock:
    """A clock that stands still until it is moved on. Seconds."""

    wall: float = 1_000_000.0
    since_boot: float = 1_000.0
    boot_id: str = "boot-1"

    def now(self) -> float:
        return self.wall

    def monotonic(self) -> float:
        return self.since_boot

    def boot(self) -> BootMoment:
        return BootMoment(self.boot_id, self.since_boot)

    def advance(self, seconds: float) -> None:
        self.wall += seconds
        self.since_boot += seconds


@dataclass(eq=False)
class StubWorker:
    """A worker that notes what it is told; the test says what it reports and when it dies."""

    pid: int
    item_id: str | None = None
    kill_reason: str | None = None
    sent: list[Command] = field(default_factory=list)
    lost: bool | None = None

    def send(self, command: Command) -> None:
        self.sent.append(command)

    offer = send

    def kill(self, reason: str) -> None:
        self.kill_reason = self.kill_reason or reason

    def reap(self, *, lost: bool) -> None:
        self.lost = lost

    def commands(self) -> list[type[Command]]:
        return [type(command) for command in self.sent]


class StubPool:
    """Workers to assign: as many as there are spare ones."""

    def __init__(self) -> None:
        self.spares = 1
        self.waiting = 0
        self.workers: list[StubWorker] = []
        self.busy: dict[str, StubWorker] = {}

    def worker_of(self, item_id: str) -> StubWorker | None:
        return self.busy.get(item_id)

    def has_spare(self) -> bool:
        return self.spares > 0

    def assign(self, item_id: str) -> StubWorker:
        self.spares -= 1
        worker = StubWorker(len(self.workers) + 1, item_id)
        self.workers.append(worker)
        self.busy[item_id] = worker
        return worker

    def scale_to(self, waiting: int, keep_spares: bool) -> None:
        self.waiting = waiting
        self.spares = max(self.spares, waiting + keep_spares)


class StubReporter:
    """In the reporter's place: notes what the queue server is told; raises over the items in ``broken``."""

    def __init__(self) -> None:
        self.acknowledged: list[str] = []
        self.deliveries: list[Delivery] = []
        self.statuses: list[Report] = []
        self.broken: set[str] = set()

    def acknowledge(self, acknowledgement: Acknowledgement) -> None:
        self._check(acknowledgement.item_id)
        self.acknowledged.append(acknowledgement.item_id)

    def deliver(self, delivery: Delivery, *, sent_before: bool = False) -> None:  # noqa: ARG002 - the reporter's interface
        self.deliveries.append(delivery)

    def publish_status(self, agent_id: str, report: Report) -> None:  # noqa: ARG002 - as above
        self._check(report.item_id)
        self.statuses.append(report)

    def outcomes(self, item_id: str) -> list[Report]:
        """Return the reports of the outcomes told for an item."""
        return [
            decode_outcome(delivery.body).report
            for delivery in self.deliveries
            if delivery.kind == "outcome" and delivery.item_id == item_id
        ]

    def _check(self, item_id: str) -> None:
        if item_id in self.broken:
            raise RuntimeError(f"nothing can be told of {item_id}")


class ControllerHarness:
    """One controller at a time over one journal; :meth:`restart` is a death of the agent and its next start."""

    def __init__(self, directory: Path, gpus: GpusConfig | None = None) -> None:
        self.directory = directory
        self.clock = ManualClock()
        self.gpus_config = gpus
        #: How often the pool of GPUs has asked its probe, since the start of the agent.
        self.asked = 0
        self._start()

    def _start(self) -> None:
        config = AgentConfig(
            entity="me",
            queues=("default",),
            launchd=LaunchdConfig(
                state_dir=str(self.directory), runtime_dir=str(self.directory), gpus=self.gpus_config or GpusConfig()
            ),
        )
        self.journal = Journal(self.directory / JOURNAL_FILE)
        self.table, self.pool = JobTable(), StubPool()
        self.outbox, self.reporter = Outbox(self.journal), StubReporter()
        self.outbox.connect(cast("Reporter", self.reporter))
        # What an earlier process left to tell.
        self.reporter.deliveries.clear()
        self.keys = SubmitterKeys(self.directory / "keys", "key-of-the-agent")
        context = AgentContext(config, "http://server", "me")
        self.asked = 0
        self.gpus = None
        if self.gpus_config is not None:
            ask = None if self.gpus_config.devices else self._ask
            self.gpus = GpuPool(self.gpus_config, self.journal, self.clock, {}, ask)
        self.controller = JobController(
            self.journal, self.table, self.pool, self.outbox, context, self.keys, clock=self.clock, gpus=self.gpus
        )

    def configure(self, jobs: JobsConfig) -> None:
        """Have another configuration in force, as after a reload."""
        config = self.controller.context.config
        launchd = msgspec.structs.replace(config.launchd, jobs=jobs)
        self.controller.context = AgentContext(
            msgspec.structs.replace(config, launchd=launchd), "http://server", config.entity or ""
        )

    def _ask(self) -> int:
        self.asked += 1
        return self.asked

    def close(self) -> None:
        self.journal.close()

    def restart(self) -> None:
        """Let the agent die with what it had not committed, and the next one take over."""
        self.close()
        self.restart_closed()

    def restart_closed(self) -> None:
        """Let the next agent take over from one whose journal was closed."""
        self._start()
        self.controller.restore()
        self.turn()

    def register(self, resumed: Resumed | None = None) -> None:
        """Have the queue server take the agent; without ``resumed`` it is one that has nothing to say about items."""
        self.controller.on_registered(resumed, AGENT)
        self.turn()

    # -- what the loop of the supervisor does

    def turn(self) -> None:
        """Give workers to jobs, and commit if that is possible."""
        self.controller.assign_workers(keep_spares=True)
        self.commit()
        self.controller.assign_workers(keep_spares=True)
        self.commit()

    def commit(self) -> bool:
        """Commit the journal; returns whether that worked."""
        try:
            self.journal.commit()
        except JournalError:
            return False
        return True

    @contextmanager
    def unwritable_journal(self) -> Iterator[None]:
        """Let SQLite refuse every write meanwhile."""
        self.set_writable(writable=False)
        yield
        self.set_writable(writable=True)

    def set_writable(self, *, writable: bool) -> None:
        self.journal._db.execute(f"PRAGMA query_only = {'OFF' if writable else 'ON'}")

    # -- events

    def claim(self, item_id: str = "a", *, lease: int = 1, **spec: Any) -> None:
        """Have an item claimed, and the loop go on."""
        run_spec = SPEC | {"run_id": f"run-{item_id}"} | spec
        self.controller.on_claimed([ClaimedItem(item_id, "default", run_spec, lease)], AGENT)
        self.turn()

    def acknowledged(
        self,
        item_id: str = "a",
        answer: ItemAnswer = ItemAnswer.TAKEN,
        *,
        lease: int | None = None,
        message: str | None = None,
        refusal: str | None = None,
    ) -> None:
        """Have an acknowledgement answered: that of the present lease, unless another ``lease`` is given."""
        active = self.table.get(item_id)
        present = active.job.lease if active is not None else 0
        self.controller.on_acknowledged(
            Acknowledged(item_id, present if lease is None else lease, answer, message, refusal)
        )
        self.turn()

    def unknown(self, item_id: str = "a", lease: int = 1) -> None:
        """Have the queue server list an item that the agent acknowledged and did not name."""
        self.controller.on_items_unknown([HeldByServer(item_id, lease, "default", f"run-{item_id}")], AGENT)
        self.turn()

    def report(self, event: Event, item_id: str = "a") -> None:
        """Have the worker of an item report something, and the loop go on."""
        self.controller.on_event(self.pool.busy[item_id], event)
        self.turn()

    def exit(self, code: int = WorkerExit.DONE, item_id: str = "a") -> None:
        """Have the worker of an item die, and the loop go on."""
        worker = self.pool.busy.pop(item_id)
        self.controller.on_exit(worker, code)
        self.turn()

    def stop(self, item_id: str = "a", reason: str = "too slow") -> bool:
        found = self.controller.stop(StopRequest(item_id, reason))
        self.turn()
        return found

    def wait(self, seconds: float = 61.0) -> None:
        """Let time pass."""
        self.clock.advance(seconds)
        self.controller.check_deadlines()
        self.turn()

    # -- what there is

    def worker(self, item_id: str = "a") -> StubWorker:
        """Return the worker that has an item."""
        return self.pool.busy[item_id]

    def job(self, item_id: str = "a") -> JobRecord:
        """Return the record of a job as it is on disk, by a connection of its own."""
        with sqlite3.connect(self.journal.path) as db:
            found = find_job(db, item_id)
        db.close()
        assert found is not None, f"the journal has no job {item_id}"
        return found

    def knows(self, item_id: str = "a") -> bool:
        """Whether the journal has a job for an item."""
        return self.journal.job(item_id) is not None

    # -- a job's way to a stage

    def bring_to(self, stage: str, item_id: str = "a") -> None:
        """Take a job from its claim to ``stage``, one of :data:`STAGES`."""
        for name, step in STEPS.items():
            step(self, item_id)
            if name == stage:
                return
        raise AssertionError(f"there is no stage {stage}")


HANDLE = Handle("local-process", "the-workload")


def _assigned(harness: ControllerHarness, item_id: str) -> None:
    assert type(harness.worker(item_id).sent[0]) is Start


def _approved(harness: ControllerHarness, item_id: str) -> None:
    harness.acknowledged(item_id)
    assert harness.worker(item_id).commands()[-1] is SubmitApproved


#: The way of a job without failures, by the name of what was reached.
STEPS = {
    "assigned": lambda harness, item_id: (harness.claim(item_id), _assigned(harness, item_id)),
    "fetching": lambda harness, item_id: harness.report(PhaseChanged(JobState.FETCHING), item_id),
    "building": lambda harness, item_id: harness.report(PhaseChanged(JobState.BUILDING), item_id),
    "submitting": lambda harness, item_id: harness.report(PhaseChanged(JobState.SUBMITTING), item_id),
    "announced": lambda harness, item_id: harness.report(Submitting(harness.job(item_id).name), item_id),
    "approved": _approved,
    "submitted": lambda harness, item_id: harness.report(Submitted(HANDLE), item_id),
    "starting": lambda harness, item_id: harness.report(PhaseChanged(JobState.STARTING), item_id),
    "running": lambda harness, item_id: harness.report(PhaseChanged(JobState.RUNNING), item_id),
    "unknown": lambda harness, item_id: harness.report(PhaseChanged(JobState.UNKNOWN), item_id),
}
STAGES = tuple(STEPS)
#: Before these nothing can exist outside; from "announced" on it may.
INSIDE = STAGES[: STAGES.index("announced")]
OUTSIDE = STAGES[STAGES.index("announced") :]
