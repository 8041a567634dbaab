"""The supervisor: one loop that keeps as many jobs running as there are slots.

The main thread owns all mutable state and does no network I/O. Other threads speak to the queue server and on the
control socket, and put events into its queue. An iteration of the loop reads the events, lets the job controller
decide, commits the journal once, and only then does what depends on it.
"""

import logging
import os
import selectors
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from launchd.agent.agent_registration import AgentRegistration
from launchd.agent.barrier import Barrier
from launchd.agent.cleanup import Cleanup
from launchd.agent.configuration import Configuration, log_groups
from launchd.agent.control.handler import ControlHandler, completed
from launchd.agent.control.server import ControlServer
from launchd.agent.engine_upkeep import EngineUpkeep
from launchd.agent.environments import Environments
from launchd.agent.errors import AgentBroken, CannotStart
from launchd.agent.events import (
    ControlRequest,
    Event,
    EventQueue,
    GpuProbeFailed,
    GpusSeen,
    ServiceEvent,
    SignalReceived,
    ThreadDied,
    UsersFree,
    WatcherEnded,
    WatcherReported,
    WorkerSpawned,
    WorkerSpawnFailed,
)
from launchd.agent.exporter.link import exporter_link
from launchd.agent.gpus.host import find_gpus
from launchd.agent.host_locks import HostLocks, locks_directory
from launchd.agent.job_controller import JobController
from launchd.agent.job_groups import find_job_groups
from launchd.agent.job_table import JobTable
from launchd.agent.job_users import JobUsers, take_numbers, taken_numbers
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.agent.journal_commits import LAZY_COMMIT_SECONDS, JournalCommits
from launchd.agent.mode import AgentMode
from launchd.agent.old_jobs import OldJobs
from launchd.agent.outbox import Outbox
from launchd.agent.publication import Publication
from launchd.agent.server_events import ServerEvents
from launchd.agent.server_link.health import ServerHealth
from launchd.agent.server_link.session import QueueServerSession
from launchd.agent.status import AgentState, status_line
from launchd.agent.submitter_keys import SubmitterKeys
from launchd.agent.watches import watches
from launchd.agent.work_orders import AgentContext
from launchd.agent.worker_pool.pool import SPARE_DELAY_SECONDS, WorkerPool
from launchd.agent.worker_pool.spawner import WorkerSpawner
from launchd.client.queue_server import QueueServer
from launchd.config import LoadedConfig
from launchd.daemon.systemd import SystemdNotifier

#: How often deadlines are checked, in seconds, at least.
TICK_SECONDS = 1.0

#: How often the directories of old jobs, and memory that the interpreter keeps, are released, in seconds.
CLEANUP_SECONDS = 5.0

log = logging.getLogger(__name__)


class Supervisor:
    """One agent: its parts, and the loop around them. Main thread only."""

    def __init__(
        self,
        loaded: LoadedConfig,
        server: QueueServer,
        api_key: str,
        spawner: WorkerSpawner,
        events: EventQueue,
        reload: Callable[[], LoadedConfig],
    ) -> None:
        """Make the parts; nothing runs yet. ``reload`` reads the configuration again.

        Raises:
            JournalError: the journal cannot be used.
        """
        config = loaded.config
        state_dir = Path(config.launchd.state_dir)
        self._events = events
        self._journal = Journal(state_dir / JOURNAL_FILE)
        self._commits = JournalCommits(self._journal)
        self._selector = selectors.DefaultSelector()
        self._selector.register(events, selectors.EVENT_READ, None)
        self._pool = WorkerPool(spawner, self._selector, config.launchd.supervision)
        self._outbox = Outbox(self._journal.outbox.undelivered())
        self._table = JobTable()
        self._locks = HostLocks(locks_directory(os.environ))
        self._gpus = find_gpus(config.launchd.gpus, self._journal, events, self._locks)
        self._watches = watches(self._pool, events, config.launchd.supervision)
        self._controller = JobController(
            self._journal,
            self._table,
            self._pool,
            self._outbox,
            AgentContext(config, server.base_url, config.entity or "", find_job_groups(config.launchd.jobs, state_dir)),
            SubmitterKeys(state_dir / "keys", api_key),
            JobUsers(lambda: taken_numbers(self._journal, state_dir)),
            gpus=self._gpus.pool,
            why_no_gpus=self._gpus.why_none,
            watches=self._watches,
        )
        self._cleanup = Cleanup(state_dir, lambda numbers: events.put(UsersFree(numbers)))
        self._old_jobs = OldJobs(self._journal, self._table, self._controller, self._cleanup)
        self._engine_upkeep = EngineUpkeep(state_dir)
        self._environments = Environments()
        self._session = QueueServerSession(server, events, (api_key,))
        self._registration = AgentRegistration(
            self._session, self._controller, self._journal, self._table, self._outbox
        )
        self._notifier = SystemdNotifier(os.environ)
        self._configuration = Configuration(
            loaded, reload, self._locks, self._controller, self._pool, self._registration, self._notifier
        )
        self._mode = AgentMode(
            self._session, self._pool, self._table, self._outbox, self._configuration, self._notifier
        )
        self._publication = Publication(
            self._session,
            self._registration,
            self._controller,
            self._table,
            self._outbox,
            self._journal,
            self._commits,
            self._configuration,
            self._mode,
        )
        self._health = ServerHealth()
        self._server_events = ServerEvents(
            self._session,
            self._registration,
            self._health,
            self._controller,
            self._outbox,
            self._journal,
            self._publication,
            self._configuration,
            self._mode,
            self._notifier,
        )
        self._control = ControlServer(Path(config.launchd.runtime_dir), events)
        self._handler = ControlHandler(
            self._controller,
            self._table,
            self._pool,
            self._outbox,
            self._journal,
            self._mode,
            self._configuration,
            self._state,
        )
        self._exporter = exporter_link(config.launchd.metrics, events)
        self._started_at = time.time()
        self._ticked_at = 0.0
        self._cleaned_at = time.monotonic()
        self._barrier = Barrier(CannotStart, AgentBroken)
        self._replies: list[tuple[Any, dict[str, Any]]] = []

    def run(self) -> int:
        """Serve until told to leave; returns the exit code of the process.

        Raises:
            CannotStart: as :func:`launchd.agent.main.run` says.
            ControlError: the control socket cannot be opened.
            AgentBroken: a part of the agent has ended.
        """
        self._start()
        while not self._mode.has_left():
            self._run_once()
        self._finish()
        return 0

    # -- start and end

    def _start(self) -> None:
        config, context = self._configuration.in_force, self._controller.context
        log_groups(context.groups)
        shared = take_numbers(self._locks, config)
        if shared is not None:
            raise CannotStart(shared)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda caught, _frame: self._events.put(SignalReceived(caught)))
        self._controller.restore()
        self._cleanup.resume()
        self._control.open()
        if self._gpus.probe is not None:
            self._gpus.probe.start()
        if self._exporter is not None:
            self._exporter.start()
        # The incarnation is on disk before the queue server knows it.
        self._journal.request_commit()
        self._commit()
        self._registration.start(config)
        self._notifier.ready()
        log.info("The agent has started.", extra={"queues": list(config.queues), "server": context.base_url})

    def _finish(self) -> None:
        self._control.close()
        if self._gpus.probe is not None:
            self._gpus.probe.end()
        if self._exporter is not None:
            self._exporter.end()
        self._watches.end()
        self._commit()
        self._session.close()
        self._journal.close()
        self._locks.close()
        log.info("The agent has left.", extra={"jobs_running_on": len(self._table)})

    # -- an iteration of the loop

    def _run_once(self) -> None:
        for key, _ in self._selector.select(self._pause()):
            if key.data is not None:
                self._pool.mark_ready(key.data)
        for event in self._events.take_all():
            with self._barrier.around(f"event {type(event).__name__}"):
                self._dispatch(event)
        with self._barrier.around("workers"):
            self._handle_workers()
        self._tick()
        if not self._mode.is_leaving:
            with self._barrier.around("assignment"):
                self._controller.assign_workers(keep_spares=self._mode.is_serving)
        self._commit()
        self._reply()
        with self._barrier.around("publication"):
            self._publication.publish()

    def _handle_workers(self) -> None:
        for worker, events, exit_code in self._pool.poll_events():
            for reported in events:
                with self._barrier.around("event of a worker"):
                    self._controller.on_event(worker, reported)
            if exit_code is not None:
                with self._barrier.around("end of a worker"):
                    self._controller.on_exit(worker, exit_code)

    def _pause(self) -> float:
        if not self._mode.is_leaving and self._controller.grants.is_due:
            return 0.0
        if self._pool.needs_spares:
            return SPARE_DELAY_SECONDS
        return LAZY_COMMIT_SECONDS if self._journal.has_changes or self._mode.is_leaving else TICK_SECONDS

    def _tick(self) -> None:
        now, config = time.monotonic(), self._configuration.in_force
        if now - self._ticked_at < TICK_SECONDS:
            return
        self._ticked_at = now
        with self._barrier.around("room for the journal"):
            self._journal.reserve_room()
        with self._barrier.around("heartbeats of workers"):
            self._pool.check_heartbeats()
        with self._barrier.around("deadlines"):
            self._controller.check_deadlines()
        if self._gpus.pool is not None:
            with self._barrier.around("GPUs"):
                self._gpus.pool.tick()
        with self._barrier.around("watches"):
            self._watches.tick()
        if now - self._cleaned_at > CLEANUP_SECONDS:
            self._cleaned_at = now
            with self._barrier.around("cleanup"):
                self._old_jobs.clear()
        with self._barrier.around("container engine"):
            self._engine_upkeep.look(config.launchd)
            self._environments.look(config)
        with self._barrier.around("status line"):
            self._notifier.status(status_line(self._state(), self._table, self._controller.context))
        # A client that hangs is as bad as a loop that does. A server that is away for longer than this
        # costs a restart now and then, and a restart costs no job.
        if self._health.was_reached_within(config.launchd.supervision.server_silence_seconds):
            self._notifier.feed_watchdog()

    def _commit(self) -> None:
        self._commits.commit(may_wait=self._mode.is_serving)

    def _reply(self) -> None:
        """Answer the requests of this iteration, whose effects the journal has by now, or could not be given."""
        replies, self._replies = self._replies, []
        for reply, answer in replies:
            reply.put(completed(answer, self._commits.error))

    # -- events

    def _dispatch(self, event: Event) -> None:
        match event:
            case WorkerSpawned():
                self._pool.add(event)
            case WorkerSpawnFailed(error):
                self._pool.spawn_failed()
                log.error("No worker could be started; it is tried again.", extra={"error": error})
            case ControlRequest(request, reply):
                self._replies.append((reply, self._handler.answer(request)))
            case SignalReceived(number):
                self._on_signal(number)
            case UsersFree(numbers):
                self._controller.users.release(numbers)
            case ThreadDied(thread, error):
                raise AgentBroken(f"its thread {thread} died of {error}")
            case GpusSeen() | GpuProbeFailed() | WatcherReported() | WatcherEnded():
                self._dispatch_service_event(event)
            case _:
                self._server_events.on_event(event)

    def _dispatch_service_event(self, event: ServiceEvent) -> None:
        pool = self._gpus.pool
        match event:
            case WatcherReported() | WatcherEnded():
                self._watches.on_event(event)
            case GpusSeen(sample) if pool is not None:
                pool.on_sample(sample)
            case GpuProbeFailed(why) if pool is not None:
                pool.on_probe_failed(why)

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self._configuration.reload()
        else:
            self._mode.leave(f"of {signal.Signals(number).name}")

    def _state(self) -> AgentState:
        path = self._configuration.path
        return AgentState(
            mode="starting" if self._session.registered is None else str(self._mode.mode),
            started_at=self._started_at,
            why_draining=self._mode.why_draining,
            config_path=None if path is None else str(path),
            registered=self._session.registered,
            contact=self._health.contact,
            seconds_since_contact=self._health.seconds_since_answer,
            environments=self._environments.status(),
            problem=self._commits.problem or self._health.problem or self._controller.grants.problem,
        )
