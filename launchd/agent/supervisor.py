"""The supervisor: one loop that keeps as many jobs running as there are slots.

The main thread owns all mutable state and does no network I/O. Other threads speak to the queue server and on the
control socket, and put events into its queue. An iteration of the loop reads the events, lets the job controller
decide, commits the journal once, and only then does what depends on it.
"""

import logging
import selectors
import signal
from dataclasses import dataclass, field
from typing import Any

from launchd.agent.agent_registration import AgentRegistration
from launchd.agent.barrier import Barrier
from launchd.agent.cleanup import Cleanup
from launchd.agent.configuration import Configuration, log_groups
from launchd.agent.control.handler import ControlHandler, completed
from launchd.agent.control.server import ControlServer
from launchd.agent.errors import AgentBroken, CannotStart
from launchd.agent.events import (
    ControlRequest,
    Event,
    EventQueue,
    GpuProbeFailed,
    GpusSeen,
    SignalReceived,
    ThreadDied,
    UsersFree,
    WatcherEnded,
    WatcherReported,
    WorkerSpawned,
    WorkerSpawnFailed,
)
from launchd.agent.host_locks import HostLocks
from launchd.agent.job_controller import JobController
from launchd.agent.job_table import JobTable
from launchd.agent.job_users import take_numbers
from launchd.agent.journal import Journal
from launchd.agent.journal_commits import LAZY_COMMIT_SECONDS, JournalCommits
from launchd.agent.mode import AgentMode
from launchd.agent.periodic_tasks import TICK_SECONDS, PeriodicTasks
from launchd.agent.publication import Publication
from launchd.agent.server_events import ServerEvents
from launchd.agent.server_link.session import QueueServerSession
from launchd.agent.services import Services
from launchd.agent.worker_pool.pool import SPARE_DELAY_SECONDS, WorkerPool
from launchd.daemon.systemd import SystemdNotifier

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Supervisor:
    """The loop of one agent, and the parts that it speaks to: see :mod:`launchd.agent.composition`.

    Main thread only.
    """

    barrier: Barrier
    events: EventQueue
    selector: selectors.BaseSelector
    journal: Journal
    commits: JournalCommits
    locks: HostLocks
    pool: WorkerPool
    table: JobTable
    controller: JobController
    services: Services
    cleanup: Cleanup
    periodic_tasks: PeriodicTasks
    session: QueueServerSession
    registration: AgentRegistration
    server_events: ServerEvents
    publication: Publication
    configuration: Configuration
    mode: AgentMode
    control: ControlServer
    handler: ControlHandler
    notifier: SystemdNotifier
    #: The answers to requests of this iteration, each with whom it is for.
    _replies: list[tuple[Any, dict[str, Any]]] = field(default_factory=list)

    def run(self) -> int:
        """Serve until told to leave; returns the exit code of the process.

        Raises:
            CannotStart: as :func:`launchd.agent.main.run` says.
            ControlError: the control socket cannot be opened.
            AgentBroken: a part of the agent has ended.
        """
        self._start()
        while not self.mode.has_left():
            self._run_once()
        self._finish()
        return 0

    # -- start and end

    def _start(self) -> None:
        config, context = self.configuration.in_force, self.controller.context
        log_groups(context.groups)
        shared = take_numbers(self.locks, config)
        if shared is not None:
            raise CannotStart(shared)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda caught, _frame: self.events.put(SignalReceived(caught)))
        self.controller.restore()
        self.cleanup.resume()
        self.control.open()
        self.services.start()
        # The incarnation is on disk before the queue server knows it.
        self.journal.request_commit()
        self._commit()
        self.registration.start(config)
        self.notifier.ready()
        log.info("The agent has started.", extra={"queues": list(config.queues), "server": context.base_url})

    def _finish(self) -> None:
        self.control.close()
        self.services.end()
        self._commit()
        self.session.close()
        self.journal.close()
        self.locks.close()
        log.info("The agent has left.", extra={"jobs_running_on": len(self.table)})

    # -- an iteration of the loop

    def _run_once(self) -> None:
        for key, _ in self.selector.select(self._pause()):
            if key.data is not None:
                self.pool.mark_ready(key.data)
        for event in self.events.take_all():
            with self.barrier.around(f"event {type(event).__name__}"):
                self._dispatch(event)
        with self.barrier.around("workers"):
            self._handle_workers()
        self.periodic_tasks.tick()
        if not self.mode.is_leaving:
            with self.barrier.around("assignment"):
                self.controller.assign_workers(keep_spares=self.mode.is_serving)
        self._commit()
        self._reply()
        with self.barrier.around("publication"):
            self.publication.publish()

    def _handle_workers(self) -> None:
        for worker, events, exit_code in self.pool.poll_events():
            for reported in events:
                with self.barrier.around("event of a worker"):
                    self.controller.on_event(worker, reported)
            if exit_code is not None:
                with self.barrier.around("end of a worker"):
                    self.controller.on_exit(worker, exit_code)

    def _pause(self) -> float:
        if not self.mode.is_leaving and self.controller.grants.is_due:
            return 0.0
        if self.pool.needs_spares:
            return SPARE_DELAY_SECONDS
        return LAZY_COMMIT_SECONDS if self.journal.has_changes or self.mode.is_leaving else TICK_SECONDS

    def _commit(self) -> None:
        self.commits.commit(may_wait=self.mode.is_serving)

    def _reply(self) -> None:
        """Answer the requests of this iteration, whose effects the journal has by now, or could not be given."""
        replies, self._replies = self._replies, []
        for reply, answer in replies:
            reply.put(completed(answer, self.commits.error))

    # -- events

    def _dispatch(self, event: Event) -> None:
        match event:
            case WorkerSpawned():
                self.pool.add(event)
            case WorkerSpawnFailed(error):
                self.pool.spawn_failed()
                log.error("No worker could be started; it is tried again.", extra={"error": error})
            case ControlRequest(request, reply):
                self._replies.append((reply, self.handler.answer(request)))
            case SignalReceived(number):
                self._on_signal(number)
            case UsersFree(numbers):
                self.controller.users.release(numbers)
            case ThreadDied(thread, error):
                raise AgentBroken(f"its thread {thread} died of {error}")
            case GpusSeen() | GpuProbeFailed() | WatcherReported() | WatcherEnded():
                self.services.on_event(event)
            case _:
                self.server_events.on_event(event)

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self.configuration.reload()
        else:
            self.mode.leave(f"of {signal.Signals(number).name}")
