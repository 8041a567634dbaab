"""The composition root of the agent: the one place where its parts are made and given to each other.

Starts nothing; the supervisor does. A part gets all that it needs when it is made, so the order here is that of who
knows whom.
"""

import os
import selectors
from collections.abc import Callable
from pathlib import Path

from launchd.agent import temporary_directories
from launchd.agent.agent_registration import AgentRegistration
from launchd.agent.barrier import Barrier
from launchd.agent.cleanup import Cleanup
from launchd.agent.configuration import Configuration
from launchd.agent.control.handler import ControlHandler
from launchd.agent.control.server import ControlServer
from launchd.agent.delivery_events import DeliveryEvents
from launchd.agent.engine_upkeep import EngineUpkeep
from launchd.agent.environments import Environments
from launchd.agent.errors import AgentBroken, CannotStart
from launchd.agent.events import EventQueue, UsersFree
from launchd.agent.exporter.link import exporter_link
from launchd.agent.gpus.host import find_gpus
from launchd.agent.host_locks import HostLocks, locks_directory
from launchd.agent.job_controller import JobController
from launchd.agent.job_groups import find_job_groups
from launchd.agent.job_table import JobTable
from launchd.agent.job_users import JobUsers, taken_numbers
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.agent.journal_commits import JournalCommits
from launchd.agent.mode import AgentMode
from launchd.agent.old_jobs import OldJobs
from launchd.agent.outbox import Outbox
from launchd.agent.periodic_tasks import PeriodicTasks, Task
from launchd.agent.publication import Publication
from launchd.agent.request_link import request_links
from launchd.agent.server_events import ServerEvents
from launchd.agent.server_link.health import ServerHealth
from launchd.agent.server_link.session import QueueServerSession
from launchd.agent.services import Services
from launchd.agent.signs_of_life import SignsOfLife
from launchd.agent.state_reader import StateReader
from launchd.agent.submitter_keys import SubmitterKeys
from launchd.agent.supervisor import Supervisor
from launchd.agent.watches import watches
from launchd.agent.work_orders import AgentContext
from launchd.agent.worker_pool.pool import WorkerPool
from launchd.agent.worker_pool.spawner import WorkerSpawner
from launchd.client.queue_server import QueueServer
from launchd.config import LoadedConfig
from launchd.daemon.systemd import SystemdNotifier

#: How often the directories of old jobs, and memory that the interpreter keeps, are released, in seconds.
CLEANUP_SECONDS = 5.0


def compose(
    loaded: LoadedConfig,
    server: QueueServer,
    api_key: str,
    spawner: WorkerSpawner,
    events: EventQueue,
    reload: Callable[[], LoadedConfig],
) -> Supervisor:
    """Return the supervisor of an agent, with all its parts. ``reload`` reads the configuration again.

    Raises:
        JournalError: the journal cannot be used.
    """
    config, state_dir = loaded.config, Path(loaded.config.launchd.state_dir)

    # What the agent remembers.
    journal = Journal(state_dir / JOURNAL_FILE)
    commits, table, outbox = JournalCommits(journal), JobTable(), Outbox(journal)

    # What runs jobs.
    selector = selectors.DefaultSelector()
    selector.register(events, selectors.EVENT_READ, None)
    pool = WorkerPool(spawner, selector, config.launchd.supervision)
    locks = HostLocks(locks_directory(os.environ))
    gpus = find_gpus(config.launchd.gpus, journal, events, locks)
    job_watches = watches(pool, events, config.launchd.supervision)
    requests = request_links(config.launchd.policy.resources, config.launchd.runtime_dir, config.launchd.supervision)
    groups = find_job_groups(config.launchd.jobs, state_dir)
    context = AgentContext(config, server.base_url, config.entity or "", groups)
    keys = SubmitterKeys(state_dir / "keys", api_key)
    users = JobUsers(lambda: taken_numbers(journal, state_dir))
    controller = JobController(
        journal,
        table,
        pool,
        outbox,
        context,
        keys,
        users,
        gpus=gpus.pool,
        why_no_gpus=gpus.why_none,
        watches=job_watches,
    )
    cleanup = Cleanup(state_dir, lambda numbers: events.put(UsersFree(numbers)))
    old_jobs = OldJobs(journal, table, controller, cleanup)

    # What speaks to the queue server and to the service manager, and what the agent is to do.
    session, health = QueueServerSession(server, events, (api_key,)), ServerHealth()
    registration = AgentRegistration(session, controller, journal, table, outbox)
    notifier = SystemdNotifier(os.environ)
    configuration = Configuration(loaded, reload, locks, controller, pool, registration, notifier)
    mode = AgentMode(session, pool, table, outbox, configuration, notifier)
    publication = Publication(session, registration, controller, table, outbox, journal, commits, configuration, mode)
    deliveries = DeliveryEvents(outbox)
    server_events = ServerEvents(
        session, registration, health, controller, deliveries, publication, configuration, mode, notifier
    )

    # What looks at the whole.
    environments, engine_upkeep = Environments(), EngineUpkeep(state_dir)
    state = StateReader(configuration, mode, session, health, environments, commits, controller)
    signs = SignsOfLife(notifier, state, health, controller, table, configuration)
    barrier = Barrier(CannotStart, AgentBroken)
    tasks = [
        Task("room for the journal", journal.reserve_room),
        Task("heartbeats of workers", pool.check_heartbeats),
        Task("deadlines", controller.check_deadlines),
        *([Task("GPUs", gpus.pool.tick)] if gpus.pool is not None else []),
        Task("watches", job_watches.tick),
        Task("deliveries", deliveries.take_up),
        Task("cleanup", old_jobs.clear, CLEANUP_SECONDS),
        Task("temporary files", temporary_directories.look, temporary_directories.LOOK_SECONDS),
        Task("container engine", lambda: engine_upkeep.look(configuration.in_force.launchd)),
        Task("environments", lambda: environments.look(configuration.in_force)),
        Task("status line", signs.send_status),
        Task("watchdog", signs.feed_watchdog),
    ]
    return Supervisor(
        barrier=barrier,
        events=events,
        selector=selector,
        journal=journal,
        commits=commits,
        locks=locks,
        pool=pool,
        table=table,
        controller=controller,
        services=Services(gpus, job_watches, requests, exporter_link(config.launchd.metrics, events)),
        cleanup=cleanup,
        periodic_tasks=PeriodicTasks(barrier, tasks),
        session=session,
        registration=registration,
        server_events=server_events,
        publication=publication,
        configuration=configuration,
        mode=mode,
        control=ControlServer(Path(config.launchd.runtime_dir), events),
        handler=ControlHandler(controller, table, pool, outbox, journal, mode, configuration, state.read),
        notifier=notifier,
    )
