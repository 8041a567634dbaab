"""Does in the fork server what each worker does, so that workers go on sharing the memory of it.

CPython writes into the code of a function at its first runs, to make it faster, and into types at their first use; each
forked worker would have a copy of every page that it writes to. What is done here, on a job of no one, is written
before the fork. Nothing leaves this process, and nothing is left of it.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory

from setproctitle import getproctitle, setproctitle

from ipc.channel import open_channel
from ipc.failpoints import disarmed
from ipc.handles import ExitResult, Handle
from ipc.messages import SubmitApproved
from ipc.run_spec import Overrides, RunSpec
from ipc.states import JobState
from ipc.work_order import WorkOrder, read_order, write_order
from workers.context import JobContext
from workers.control_thread import ControlThread, EventSender
from workers.job_lock import acquire_job_lock
from workers.job_runner import JobRunner
from workers.runners import LaunchRequest, Runner, Status
from workers.worker_log import close_log, open_log

#: CPython 3.11 writes to a function at its first eight runs, and for the last time a few runs later.
TIMES = 12

NAME = "launchd-0000000000000000-1"

MakeRunner = Callable[[WorkOrder, JobContext], AbstractContextManager[Runner]]

#: A job of which no target has to know.
PLAIN_SPEC = RunSpec("entity", "project", "run", "local-process", overrides=Overrides(entry_point=("true",)))

log = logging.getLogger(__name__)


class PlainRunner(Runner):
    """Has run each job at the second look."""

    def __init__(self, order: WorkOrder, context: JobContext) -> None:
        super().__init__(order)
        self._context = context
        self._looks = 0

    def submit(self, launch: LaunchRequest) -> Handle:
        """Start nothing."""
        return Handle("plain", launch.name, data={})

    def find(self, name: str) -> Handle | None:  # noqa: ARG002 (the interface's)
        """Find nothing."""
        return None

    def inspect(self, handle: Handle) -> Status:  # noqa: ARG002
        """Return that the job runs, and then that it has ended."""
        self._looks += 1
        self._context.note_change()
        return Status(JobState.RUNNING) if self._looks == 1 else Status(JobState.FINISHED, ExitResult())

    def cancel(self, handle: Handle, grace_seconds: float) -> None:
        """Stop nothing."""


def rehearse_plainly() -> None:
    """Do what workers do on any target."""
    rehearse(PLAIN_SPEC, lambda order, context: nullcontext(PlainRunner(order, context)))


def rehearse(spec: RunSpec, make_runner: MakeRunner) -> None:
    """Run a job of ``spec`` again and again, with runners that reach nothing outside this process."""
    title = getproctitle()
    try:
        with disarmed():
            for _ in range(TIMES):
                _run(spec, make_runner)
    except Exception:
        # Workers are larger then, and work.
        log.exception("What workers share could not be rehearsed.")
    finally:
        setproctitle(title)


def _run(spec: RunSpec, make_runner: MakeRunner) -> None:
    with TemporaryDirectory(prefix="launchd-rehearsal-") as directory:
        path = Path(directory, "jobs", NAME)
        write_order(WorkOrder(NAME, "item", "queue", "entity", 1, "http://127.0.0.1", spec, str(path)))
        open_log(path)
        supervisor, end = open_channel()
        try:
            sender = EventSender(end)
            context = JobContext(read_order(path), "key", sender.send)
            control = ControlThread(end, sender, context)
            supervisor.send(SubmitApproved(NAME))
            control.dispatch()
            with acquire_job_lock(path, 1), make_runner(context.order, context) as runner:
                JobRunner(context, runner, control).start()
            while supervisor.receive() is not None:
                pass
        finally:
            supervisor.close()
            close_log()
