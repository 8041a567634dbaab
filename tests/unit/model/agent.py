"""An agent under test: the real job controller, journal and outbox, with workers and a server link of the model's."""

import shutil
import sqlite3
from collections import deque
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from ipc.messages import Event as WorkerEvent
from launchd.agent.deliveries import held_item
from launchd.agent.events import (
    Acknowledged,
    Claimed,
    Delivered,
    Event,
    ItemsUnknown,
    Registered,
    RegistrationLost,
    RegistrationRefused,
    StopRequested,
    Undeliverable,
)
from launchd.agent.identity import next_identity
from launchd.agent.job_controller import JobController
from launchd.agent.job_table import JobTable
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.agent.journal_file import JournalError
from launchd.agent.outbox import Outbox
from launchd.agent.submitter_keys import SubmitterKeys
from launchd.agent.work_orders import AgentContext
from launchd.client.queue_server import Capabilities, HeldItem, Resumed
from launchd.config import AgentConfig, LaunchdConfig
from tests.support.controller_harness import ManualClock
from tests.unit.model.link import Link
from tests.unit.model.server import QUEUE, ServerUnderTest
from tests.unit.model.workers import SIGKILL, ModelPool, ModelWorker, exit_code_of
from tests.unit.model.world import World

SLOTS = 2

_NATIVE = Capabilities(**dict.fromkeys(Capabilities.__struct_fields__, True))


@dataclass
class Process:
    """One process of an agent, from its start to its end."""

    journal: Journal
    table: JobTable
    pool: ModelPool
    outbox: Outbox
    controller: JobController
    link: Link
    events: deque[Event] = field(default_factory=deque)


@dataclass
class AgentUnderTest:
    """An agent with one state directory, through any number of processes."""

    name: str
    directory: Path
    server: ServerUnderTest
    world: World
    clock: ManualClock
    writable: bool = True
    #: Whether killed workers die only when :meth:`bury` is called.
    deaths_are_late: bool = False
    process: Process | None = None
    #: All ids under which it was registered, and the last one.
    agent_ids: set[str] = field(default_factory=set)
    last_id: str | None = None
    _starts: Any = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.machine_id = self.directory / "machine-id"
        self.machine_id.write_text(self.name)

    # -- start and end

    def start(self) -> None:
        """Start a process over the journal as it is."""
        journal = Journal(self.directory / JOURNAL_FILE)
        identity = next_identity(journal, self.machine_id)
        table, pool, outbox = JobTable(), ModelPool(self.world), Outbox(journal)
        config = AgentConfig(
            entity="me",
            queues=(QUEUE,),
            max_jobs=SLOTS,
            launchd=LaunchdConfig(state_dir=str(self.directory), runtime_dir=str(self.directory)),
        )
        keys = SubmitterKeys(self.directory / "keys", "key-of-the-agent")
        context = AgentContext(config, "http://server", "me")
        controller = JobController(journal, table, pool, outbox, context, keys, clock=self.clock)
        events: deque[Event] = deque()
        link = Link(self.server, identity, events.append, self._on_registered, f"{self.name}{next(self._starts)}")
        self.process = Process(journal, table, pool, outbox, controller, link, events)
        self._set_writable()
        controller.restore()
        self.turn()
        link.register(journal.meta("agent_id"))

    def crash(self, *, creates: bool = False) -> None:
        """End the process with what it had not committed; its workers leave, workloads run on."""
        assert self.process is not None
        self.process.journal.close()
        for worker in self.process.pool.living:
            worker.orphaned(creates=creates)
        self.process = None

    def fill_disk(self) -> None:
        """Let the journal's disk be full."""
        self.writable = False
        self._set_writable()

    def clear_disk(self) -> None:
        """Let there be room again."""
        self.writable = True
        self._set_writable()

    def _set_writable(self) -> None:
        if self.process is not None:
            self.process.journal._db.execute(f"PRAGMA query_only = {'OFF' if self.writable else 'ON'}")

    # -- the state directory

    def copy_journal(self) -> bytes:
        """The journal as it is on disk."""
        copy, source = sqlite3.connect(":memory:"), sqlite3.connect(self.directory / JOURNAL_FILE)
        try:
            source.backup(copy)
            return copy.serialize()
        finally:
            source.close()
            copy.close()

    def restore_journal(self, journal: bytes, *, keep_directories: bool) -> None:
        """Put an earlier journal in place, between two processes."""
        assert self.process is None
        for path in self.directory.glob(f"{JOURNAL_FILE}*"):
            path.unlink()
        (self.directory / JOURNAL_FILE).write_bytes(journal)
        if not keep_directories:
            shutil.rmtree(self.directory / "jobs", ignore_errors=True)

    # -- the loop of the supervisor

    def turn(self) -> None:
        """Act on all events, as the main thread does."""
        process = self.process
        assert process is not None
        while True:
            while process.events:
                self._dispatch(process, process.events.popleft())
            process.controller.assign_workers(keep_spares=True)
            self._commit(process)
            self._publish(process)
            self._reap(process)
            if not process.events:
                return

    def _reap(self, process: Process) -> None:
        if not self.deaths_are_late:
            self.bury(process)

    def bury(self, process: Process) -> None:
        """Hear of the deaths of the workers that were killed."""
        for worker in list(process.pool.living):
            if worker.kill_reason is not None:
                self._lose(process, worker, SIGKILL)

    def _lose(self, process: Process, worker: ModelWorker, code: int) -> None:
        process.pool.remove(worker)
        process.controller.on_exit(worker, code)

    def _commit(self, process: Process) -> None:
        try:
            process.journal.commit()
        except JournalError:
            return

    def _publish(self, process: Process) -> None:
        jobs = process.table.jobs()
        process.link.held = self.held()
        process.link.stopping = tuple(job.item_id for job in jobs if job.stop_reason is not None)
        has_disk = not process.journal.has_changes
        process.link.free_slots = process.controller.context.free_slots(len(jobs), SLOTS) if has_disk else 0

    def _dispatch(self, process: Process, event: Event) -> None:
        match event:
            case Registered() | RegistrationRefused() | RegistrationLost():
                self._dispatch_link_event(process, event)
            case Delivered(ids):
                process.outbox.delivered(ids)
            case Undeliverable(ids, reason):
                process.outbox.refused(ids, reason, self.clock.now())
            case _:
                self._dispatch_item_event(process, event)

    def _dispatch_link_event(self, process: Process, event: Event) -> None:
        controller, journal, link = process.controller, process.journal, process.link
        match event:
            case Registered(agent_id, resumed=Resumed() as resumed):
                journal.set_meta("agent_id", agent_id)
                journal.request_commit()
                process.outbox.connect(link)  # type: ignore[arg-type]
                controller.on_registered(resumed, agent_id)
            case RegistrationLost(agent_id) if agent_id == link.agent_id and not link.is_registering:
                link.held = self.held()
                link.register(agent_id)
            case _:
                pass

    def _dispatch_item_event(self, process: Process, event: Event) -> None:
        controller = process.controller
        match event:
            case Claimed(items, agent_id):
                controller.on_claimed(items, agent_id)
            case Acknowledged():
                controller.on_acknowledged(event)
            case ItemsUnknown(items):
                controller.on_items_unknown(items, process.link.agent_id or "")
            case StopRequested(stops):
                for stop in stops:
                    controller.stop(stop)
            case _:
                raise AssertionError(f"the link sends no {event}")

    def _on_registered(self, agent_id: str, resumed: Resumed) -> None:
        assert self.process is not None
        self.agent_ids.add(agent_id)
        self.last_id = agent_id
        self.process.events.append(Registered(agent_id, self.name, "me", (QUEUE,), _NATIVE, resumed=resumed))

    def tick(self) -> None:
        """Look at deadlines, after time has passed."""
        if self.process is not None:
            self.process.controller.check_deadlines()
            self.turn()

    def retry_dead_letters(self) -> None:
        """Have all dead letters sent again, as a person may."""
        assert self.process is not None
        self.process.outbox.retry(None)
        self.turn()

    # -- workers

    def step(self, item_id: str) -> bool:
        """Let the worker of an item go on; returns whether it did anything."""
        assert self.process is not None
        worker = self.process.pool.busy.get(item_id)
        step = worker.step() if worker is not None else None
        if worker is None or step is None:
            return False
        code = exit_code_of(step)
        if code is None:
            self._report(worker, step)  # type: ignore[arg-type]
        else:
            self.lose_worker(item_id, code)
        self.turn()
        return True

    def step_all(self) -> None:
        """Let every worker go on."""
        assert self.process is not None
        for item in list(self.process.pool.busy):
            self.step(item)

    def _report(self, worker: ModelWorker, event: WorkerEvent) -> None:
        assert self.process is not None
        self.process.controller.on_event(worker, event)

    def lose_worker(self, item_id: str, code: int) -> None:
        """Let the worker of an item end."""
        assert self.process is not None
        self._lose(self.process, self.process.pool.busy[item_id], code)
        self.turn()

    # -- what the agent has

    def held(self) -> tuple[HeldItem, ...]:
        """What the agent says it holds: active jobs, and outcomes that the server has not taken."""
        assert self.process is not None
        held = {item.item_id: item for item in self.process.outbox.held()}
        held |= {job.item_id: held_item(job) for job in self.process.table.jobs()}
        return tuple(held.values())

    def knows(self, item_id: str) -> bool:
        """Whether the agent has an item as an active job, or its outcome in the outbox, as a dead letter or not."""
        assert self.process is not None
        return self.process.table.get(item_id) is not None or item_id in self.outcomes_kept()

    def outcomes_kept(self) -> set[str]:
        """The items whose outcomes are in the outbox, as dead letters or not."""
        assert self.process is not None
        outbox = self.process.outbox
        rows = [*outbox.undelivered(), *(letter.delivery for letter in outbox.refused_deliveries())]
        return {row.item_id for row in rows if row.kind == "outcome"}

    @property
    def has_uncommitted(self) -> bool:
        """Whether something waits for the disk."""
        return self.process is not None and self.process.journal.has_changes

    @property
    def is_registered(self) -> bool:
        """Whether the present process is registered, and its journal knows it."""
        link = self.process.link if self.process is not None else None
        return link is not None and link.agent_id is not None and not link.is_registering and self.writable

    @property
    def is_idle(self) -> bool:
        """Whether there is no job, and nothing that the server has to be told."""
        assert self.process is not None
        return len(self.process.table) == 0 and self.process.outbox.waiting == 0 and not self.process.pool.living

    def has(self, item_id: str) -> bool:
        """Whether there is a job of an item, or an outcome that the server has not taken, by process or disk."""
        if self.process is not None:
            return self.knows(item_id)
        return item_id in self._on_disk("SELECT item_id FROM jobs WHERE over = 0 UNION SELECT item_id FROM outbox")

    def items_on_disk(self) -> set[str]:
        """All items in the journal."""
        return self._on_disk("SELECT item_id FROM jobs UNION SELECT item_id FROM outbox")

    def _on_disk(self, query: str) -> set[str]:
        db = sqlite3.connect(self.directory / JOURNAL_FILE)
        try:
            return {row[0] for row in db.execute(query)}
        finally:
            db.close()

    def describe(self) -> str:
        """All that may explain a failure."""
        process = self.process
        if process is None:
            return "no process"
        return (
            f"{process.link.agent_id} registering={process.link.is_registering} jobs={process.table.jobs()}"
            f" workers={process.pool.busy} outbox={process.outbox.undelivered()}"
            f" refused={process.outbox.refused_deliveries()}"
            f" events={list(process.events)}"
        )
