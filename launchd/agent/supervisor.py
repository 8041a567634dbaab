"""The supervisor: one loop that keeps as many jobs running as there are slots.

The main thread owns all mutable state and does no network I/O. Other threads speak to the queue server and on the
control socket, and put events into its queue. An iteration of the loop reads the events, lets the job controller
decide, commits the journal once, and only then does what depends on it.
"""

import faulthandler
import logging
import os
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Any

from ipc.bootstrap import freeze_imports
from ipc.failpoints import hit
from launchd.agent.agent_registration import AgentRegistration
from launchd.agent.barrier import Barrier
from launchd.agent.cleanup import Cleanup
from launchd.agent.control.client import ControlError
from launchd.agent.control.handler import ControlHandler, completed
from launchd.agent.control.server import ControlServer
from launchd.agent.engine_upkeep import EngineUpkeep
from launchd.agent.environments import Environments
from launchd.agent.events import (
    Acknowledged,
    Claimed,
    ControlRequest,
    Delivered,
    DrainTakenBack,
    Event,
    EventQueue,
    GpuProbeFailed,
    GpusSeen,
    ItemEvent,
    ItemsUnknown,
    LinkEvent,
    OutputWanted,
    Polled,
    QueueError,
    Registered,
    RegistrationLost,
    RegistrationRefused,
    ServerContact,
    ServiceEvent,
    SignalReceived,
    SlotKind,
    StopRequested,
    ThreadDied,
    Undeliverable,
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
from launchd.agent.job_groups import JobGroups, find_job_groups
from launchd.agent.job_record import JobRecord
from launchd.agent.job_table import JobTable
from launchd.agent.job_users import JobUsers, take_numbers, taken_numbers
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.agent.journal_commits import LAZY_COMMIT_SECONDS, JournalCommits
from launchd.agent.journal_file import JournalError
from launchd.agent.old_jobs import OldJobs
from launchd.agent.outbox import Outbox
from launchd.agent.server_link.health import ServerHealth
from launchd.agent.server_link.output_sender import OutputSource
from launchd.agent.server_link.session import QueueServerSession
from launchd.agent.status import SERVER_ASKED, AgentState, status_line
from launchd.agent.submitter_keys import SubmitterKeys
from launchd.agent.watches import watches
from launchd.agent.work_orders import AgentContext
from launchd.agent.worker_pool.pool import SPARE_DELAY_SECONDS, WorkerPool
from launchd.agent.worker_pool.spawner import WorkerSpawner
from launchd.client.queue_server import HeldByServer, QueueServer, StopRequest
from launchd.config import AgentConfig, ConfigError, LoadedConfig
from launchd.daemon.rlimits import raise_limit
from launchd.daemon.systemd import SystemdNotifier

#: What the agent writes only its own user may read; a job has a umask of its own.
UMASK = 0o077

#: The exit code of an agent that is to be started anew (EX_SOFTWARE).
EXIT_BROKEN = 70

#: How often deadlines are checked, in seconds, at least.
TICK_SECONDS = 1.0

#: Seconds after which a thread that encodes a request lets the main thread run.
SWITCH_SECONDS = 0.0005

#: Seconds that workers may take to leave before they are ended; their workloads run on either way.
LEAVE_SECONDS = 12.0

#: Seconds that leaving waits for the last outcomes to be delivered; the next agent process delivers the rest.
FLUSH_SECONDS = 3.0

#: How often the directories of old jobs, and memory that the interpreter keeps, are released, in seconds.
CLEANUP_SECONDS = 5.0

#: Keys of ``launchd`` that a reload does not change.
RESTART_ONLY_KEYS = ("base_url", "api_key_file", "state_dir", "runtime_dir", "log_format", "gpus", "metrics")

log = logging.getLogger(__name__)


class CannotStart(Exception):
    """The agent cannot start; the message says why and what to do."""


class AgentBroken(Exception):
    """A part of the agent is gone; only a new one helps, and costs no job."""


class Mode(StrEnum):
    """What the supervisor is doing."""

    SERVING = "polling"
    DRAINING = "draining"
    LEAVING = "leaving"


def run(
    loaded: LoadedConfig, connect: Callable[[], QueueServer], api_key: str, reload: Callable[[], LoadedConfig]
) -> int:
    """Run the agent until it is told to leave; returns the process's exit code.

    ``connect`` makes the client of the queue server, ``reload`` reads the
    configuration again. SIGTERM and SIGINT detach (jobs run on and the next
    agent adopts them), SIGHUP reloads.

    Raises:
        CannotStart: another agent runs here, a directory cannot be used, or the
            queue server refuses the agent while it has no active job. As a service
            (``$NOTIFY_SOCKET``) it asks the server again, with a growing pause of up to a minute.
    """
    events = EventQueue()
    os.umask(UMASK)
    # Shows where a loop hangs when the watchdog ends the process.
    faulthandler.enable()
    os.environ.pop("WANDB_API_KEY", None)
    threading.excepthook = lambda death: _report_death(events, death)
    # Before any thread, socket or secret: the fork server's copies go to every job.
    spawner = WorkerSpawner(events, loaded.config.launchd.policy.resources)
    raise_limit()
    freeze_imports()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        supervisor = Supervisor(loaded, connect(), api_key, spawner, events, reload)
        return supervisor.run()
    except (JournalError, ControlError) as error:
        raise CannotStart(str(error)) from error
    except AgentBroken as error:
        log.critical("The agent cannot go on and is to be started anew; jobs run on.", extra={"why": str(error)})
        return EXIT_BROKEN


class Supervisor:
    """One agent. Main thread only."""

    def __init__(
        self,
        loaded: LoadedConfig,
        server: QueueServer,
        api_key: str,
        spawner: WorkerSpawner,
        events: EventQueue,
        reload: Callable[[], LoadedConfig],
    ) -> None:
        config = loaded.config
        state_dir = Path(config.launchd.state_dir)
        self._loaded = loaded
        self._read_config = reload
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
        self._control = ControlServer(Path(config.launchd.runtime_dir), events)
        self._handler = ControlHandler(self._controller, self._table, self._pool, self._outbox, self._journal, self)
        self._exporter = exporter_link(config.launchd.metrics, events)
        self._notifier = SystemdNotifier(os.environ)
        self._mode = Mode.SERVING
        self._why_draining: str | None = None
        self._leave_by = 0.0
        self._started_at = time.time()
        self._ticked_at = 0.0
        self._cleaned_at = time.monotonic()
        self._health = ServerHealth()
        self._published = (-1, -1)
        self._published_gpus: tuple[int, int] | None = None
        self._barrier = Barrier(CannotStart, AgentBroken)
        self._replies: list[tuple[Any, dict[str, Any]]] = []

    def run(self) -> int:
        """Serve until told to leave."""
        self._start()
        while not self._has_left():
            self._run_once()
        self._finish()
        return 0

    # -- start and end

    def _start(self) -> None:
        _log_groups(self._context.groups)
        shared = take_numbers(self._locks, self._config)
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
        self._registration.start(self._config)
        self._notifier.ready()
        log.info(
            "The agent has started.", extra={"queues": list(self._config.queues), "server": self._context.base_url}
        )

    def drain(self) -> None:
        """Claim nothing more, and leave once all jobs are over."""
        self._leave(Mode.DRAINING, "of `launchd drain`")

    def undrain(self) -> str | None:
        """Claim jobs again while the agent drains; returns why it cannot, as a sentence, or ``None``."""
        if self._mode is Mode.DRAINING and self._why_draining == SERVER_ASKED:
            return _still_asked(self._session.registered)
        self._serve_again("of `launchd undrain`")
        return None if self._mode is Mode.SERVING else "The agent leaves already. Start it again."

    def _serve_again(self, why: str) -> None:
        if self._mode is Mode.DRAINING:
            self._mode, self._why_draining = Mode.SERVING, None
            self._session.resume_claiming(self._config)
            log.info("The agent takes jobs again.", extra={"why": why})

    def detach(self) -> None:
        """Leave; jobs run on."""
        self._leave(Mode.LEAVING, "of `launchd detach`")

    def _leave(self, mode: Mode, why: str) -> None:
        if self._mode is mode or self._mode is Mode.LEAVING:
            return
        self._mode = mode
        self._why_draining = why if mode is Mode.DRAINING else None
        self._session.stop_claiming()
        log.info("The agent takes no more jobs.", extra={"mode": str(mode), "why": why})
        if mode is Mode.LEAVING:
            self._notifier.stopping()
            self._leave_by = time.monotonic() + LEAVE_SECONDS
            self._pool.detach_all()

    def _has_left(self) -> bool:
        if self._mode is Mode.DRAINING and not self._table and not self._outbox.waiting:
            self._leave(Mode.LEAVING, "all jobs are over")
        if self._mode is not Mode.LEAVING:
            return False
        now = time.monotonic()
        if len(self._pool):
            if now > self._leave_by:
                self._pool.kill_all("the agent leaves")
            return False
        return not self._outbox.waiting or now > self._leave_by - LEAVE_SECONDS + FLUSH_SECONDS

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
        if self._mode is not Mode.LEAVING:
            with self._barrier.around("assignment"):
                self._controller.assign_workers(keep_spares=self._mode is Mode.SERVING)
        self._commit()
        self._reply()
        with self._barrier.around("publication"):
            self._publish()

    def _handle_workers(self) -> None:
        for worker, events, exit_code in self._pool.poll_events():
            for reported in events:
                with self._barrier.around("event of a worker"):
                    self._controller.on_event(worker, reported)
            if exit_code is not None:
                with self._barrier.around("end of a worker"):
                    self._controller.on_exit(worker, exit_code)

    def _pause(self) -> float:
        if self._mode is not Mode.LEAVING and self._controller.grants.is_due:
            return 0.0
        if self._pool.needs_spares:
            return SPARE_DELAY_SECONDS
        return LAZY_COMMIT_SECONDS if self._journal.has_changes or self._mode is Mode.LEAVING else TICK_SECONDS

    def _tick(self) -> None:
        now = time.monotonic()
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
            self._engine_upkeep.look(self._config.launchd)
            self._environments.look(self._config)
        with self._barrier.around("status line"):
            self._notifier.status(status_line(self.state(), self._table, self._context))
        # A client that hangs is as bad as a loop that does. A server that is away for longer than this
        # costs a restart now and then, and a restart costs no job.
        if self._health.was_reached_within(self._config.launchd.supervision.server_silence_seconds):
            self._notifier.feed_watchdog()

    def _commit(self) -> None:
        self._commits.commit(may_wait=self._mode is Mode.SERVING)

    def _reply(self) -> None:
        """Answer the requests of this iteration, whose effects the journal has by now, or could not be given."""
        replies, self._replies = self._replies, []
        for reply, answer in replies:
            reply.put(completed(answer, self._commits.error))

    def _publish(self) -> None:
        """Tell the threads how many slots are free and which jobs there are, where that has changed."""
        versions = (self._table.version, self._outbox.version)
        if versions != self._published:
            self._published = versions
            self._registration.publish_items()
            self._supply_outputs(self._session.wanted_outputs)
        for job in self._controller.take_ended():
            self._session.send_end_of_output(job.item_id, self._output_of(job))
        grants = self._controller.grants
        if grants.version != self._published_gpus:
            self._published_gpus = grants.version
            self._session.set_gpus(grants.summary(), job_waits=grants.is_owing)
        for kind in SlotKind:
            self._session.set_free_slots(kind, self._free_slots(kind))

    def _supply_outputs(self, items: tuple[str, ...]) -> None:
        for item_id in items:
            active = self._table.get(item_id)
            job = active.job if active is not None else self._journal.job(item_id)
            self._session.supply_output(item_id, None if job is None else self._output_of(job))

    def _output_of(self, job: JobRecord) -> OutputSource:
        return OutputSource(self._context.job_directory(job.name), job.is_over)

    def _free_slots(self, kind: SlotKind) -> int:
        if self._mode is not Mode.SERVING or self._commits.problem is not None:
            return 0
        schedulers = kind is SlotKind.SCHEDULER
        limit = self._config.max_schedulers if schedulers else self._config.max_jobs
        return self._context.free_slots(self._table.count(schedulers), limit)

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
            case (
                Registered()
                | RegistrationRefused()
                | RegistrationLost()
                | DrainTakenBack()
                | QueueError()
                | ServerContact()
            ):
                self._dispatch_link_event(event)
            case GpusSeen() | GpuProbeFailed() | WatcherReported() | WatcherEnded():
                self._dispatch_service_event(event)
            case _:
                self._dispatch_item_event(event)

    def _dispatch_link_event(self, event: LinkEvent) -> None:
        match event:
            case Registered():
                self._health.note_registration(event)
                self._registration.on_registered(event, self._config)
            case RegistrationRefused(error):
                self._on_registration_refused(error)
            case RegistrationLost():
                if self._mode is not Mode.LEAVING:
                    self._registration.on_lost(event, self._config)
            case DrainTakenBack():
                self._on_drain_taken_back()
            case QueueError(queue, error):
                self._health.note_queue(queue, error)
            case ServerContact():
                self._health.note_contact(event)

    def _dispatch_service_event(self, event: ServiceEvent) -> None:
        pool = self._gpus.pool
        match event:
            case WatcherReported() | WatcherEnded():
                self._watches.on_event(event)
            case GpusSeen(sample) if pool is not None:
                pool.on_sample(sample)
            case GpuProbeFailed(why) if pool is not None:
                pool.on_probe_failed(why)

    def _dispatch_item_event(self, event: ItemEvent) -> None:
        match event:
            case Claimed(items, agent_id):
                self._session.count_claim(event)
                self._controller.on_claimed(items, agent_id)
            case Polled():
                self._controller.measures.polled(event)
            case Acknowledged():
                self._controller.on_acknowledged(event)
            case StopRequested(stops, stop_polling):
                self._on_stop_requested(stops, stop_polling)
            case ItemsUnknown(items):
                self._on_items_unknown(items)
            case OutputWanted(items):
                self._supply_outputs(items)
            case Delivered(ids):
                hit("supervisor.reported")
                self._outbox.delivered(ids)
                self._journal.outbox.remove(ids)
            case Undeliverable(ids, reason):
                self._on_undeliverable(ids, reason)

    def _on_undeliverable(self, ids: tuple[int, ...], reason: str) -> None:
        log.error(
            "The queue server does not take what it was told; `launchd outbox` shows it.",
            extra={"why": reason, "deliveries": list(ids)},
        )
        self._outbox.refused(ids)
        self._journal.outbox.set_refused(ids, reason, time.time())

    def _on_items_unknown(self, items: tuple[HeldByServer, ...]) -> None:
        if self._session.registered is not None:
            self._controller.on_items_unknown(items, self._session.registered.agent_id)

    def _on_stop_requested(self, stops: tuple[StopRequest, ...], stop_polling: bool) -> None:
        for stop in stops:
            self._controller.stop(stop)
        if stop_polling:
            self._leave(Mode.DRAINING, SERVER_ASKED)

    def _on_drain_taken_back(self) -> None:
        # What was asked on this host is taken back on this host.
        if self._why_draining == SERVER_ASKED:
            self._serve_again("the queue server took back what it had asked for")

    def _on_registration_refused(self, error: str) -> None:
        # A service manager would start it anew, each second: it waits instead, for a queue that is created later.
        if self._registration.is_idle and not self._notifier.is_service:
            raise CannotStart(error)
        self._health.note_refusal(error)
        self._registration.on_refused(self._config)

    def _on_signal(self, number: int) -> None:
        if number == signal.SIGHUP:
            self.reload()
        else:
            self._leave(Mode.LEAVING, f"of {signal.Signals(number).name}")

    # -- reload

    @property
    def _config(self) -> AgentConfig:
        return self._loaded.config

    @property
    def _context(self) -> AgentContext:
        return self._controller.context

    def reload(self) -> str | None:
        """Read the configuration again; returns why it stays as it was, or ``None``."""
        self._notifier.reloading()
        try:
            loaded = self._read_config()
        except ConfigError as error:
            log.error("The new configuration is wrong; the old one stays in force.", extra={"why": str(error)})
            self._notifier.ready()
            return str(error)
        shared = take_numbers(self._locks, loaded.config)
        if shared is not None:
            log.error("The old configuration stays in force.", extra={"why": shared})
            self._notifier.ready()
            return shared
        self._warn_of_restart_only(loaded.config)
        self._loaded = loaded
        self._controller.context = self._reloaded_context(loaded.config)
        self._pool.config = loaded.config.launchd.supervision
        # Also for the same names: queues may have been deleted and made again since.
        self._registration.start(loaded.config)
        log.info("The configuration was read again.", extra={"queues": list(loaded.config.queues)})
        self._notifier.ready()
        return None

    def _reloaded_context(self, config: AgentConfig) -> AgentContext:
        groups = find_job_groups(config.launchd.jobs, self._context.state_dir)
        if groups.shortcoming != self._context.groups.shortcoming:
            _log_groups(groups)
        return AgentContext(config, self._context.base_url, self._context.entity, groups)

    def _warn_of_restart_only(self, config: AgentConfig) -> None:
        """Log which changes a reload cannot bring."""
        before, after = self._config.launchd, config.launchd
        waiting = [name for name in RESTART_ONLY_KEYS if getattr(before, name) != getattr(after, name)]
        if waiting:
            log.warning("Some changes wait for the agent's next start.", extra={"keys": waiting})

    def state(self) -> AgentState:
        """Return what the supervisor knows beside its jobs."""
        return AgentState(
            mode="starting" if self._session.registered is None else str(self._mode),
            started_at=self._started_at,
            why_draining=self._why_draining,
            config_path=str(self._loaded.path) if self._loaded.path else None,
            registered=self._session.registered,
            contact=self._health.contact,
            seconds_since_contact=self._health.seconds_since_answer,
            environments=self._environments.status(),
            problem=self._commits.problem or self._health.problem or self._controller.grants.problem,
        )


def _still_asked(registered: Registered | None) -> str:
    if registered is None or not registered.capabilities.agent_control:
        return "The queue server asked the agent to drain: start it again once it has left."
    name = registered.agent_name
    return f"The queue server asked the agent to drain. That is taken back there: launchd agent undrain {name}"


def _log_groups(groups: JobGroups) -> None:
    if groups.shortcoming is None:
        log.info("Each job has a control group of its own.", extra={"below": groups.root})
    else:
        level = logging.WARNING if groups.limits_not_held else logging.INFO
        log.log(level, "Not everything of a job is held.", extra={"why": groups.shortcoming})


def _report_death(events: EventQueue, death: threading.ExceptHookArgs) -> None:
    name = death.thread.name if death.thread else "?"
    traceback = (death.exc_type, death.exc_value, death.exc_traceback)
    log.error("A thread of the agent died.", extra={"thread_name": name}, exc_info=traceback)  # type: ignore[arg-type]
    events.put(ThreadDied(name, f"{death.exc_type.__name__}: {death.exc_value}"))
