"""The process of an agent: what is set before anything else runs, and the code it exits with.

The order is the point: the fork server comes before any thread, socket or secret.
"""

import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable

from ipc.bootstrap import freeze_imports
from launchd.agent.composition import compose
from launchd.agent.control.client import ControlError
from launchd.agent.errors import AgentBroken, CannotStart
from launchd.agent.events import EventQueue, ThreadDied
from launchd.agent.journal_file import JournalError
from launchd.agent.worker_pool.spawner import WorkerSpawner
from launchd.client.queue_server import QueueServer
from launchd.config import LoadedConfig
from launchd.daemon.rlimits import raise_limit

#: What the agent writes only its own user may read; a job has a umask of its own.
UMASK = 0o077

#: The exit code of an agent that is to be started anew (EX_SOFTWARE).
EXIT_BROKEN = 70

#: Seconds after which a thread that encodes a request lets the main thread run.
SWITCH_SECONDS = 0.0005

log = logging.getLogger(__name__)


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
    settings = loaded.config.launchd
    spawner = WorkerSpawner(events, settings.policy.resources, settings.runtime_dir)
    raise_limit()
    freeze_imports()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        return compose(loaded, connect(), api_key, spawner, events, reload).run()
    except (JournalError, ControlError) as error:
        raise CannotStart(str(error)) from error
    except AgentBroken as error:
        log.critical("The agent cannot go on and is to be started anew; jobs run on.", extra={"why": str(error)})
        return EXIT_BROKEN


def _report_death(events: EventQueue, death: threading.ExceptHookArgs) -> None:
    name = death.thread.name if death.thread else "?"
    traceback = (death.exc_type, death.exc_value, death.exc_traceback)
    log.error("A thread of the agent died.", extra={"thread_name": name}, exc_info=traceback)  # type: ignore[arg-type]
    events.put(ThreadDied(name, f"{death.exc_type.__name__}: {death.exc_value}"))
