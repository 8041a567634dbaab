"""The entry point of a worker process: it says hello, runs one job and leaves.

Owns how a worker begins and ends; what is done with the job is in ``workers.job_runner``. A worker that loses its
supervisor leaves its job running for the next supervisor to adopt.
"""

import errno
import logging
import os
import signal
from multiprocessing import connection, parent_process
from pathlib import Path

from setproctitle import setproctitle

from ipc.bootstrap import preloaded_resources
from ipc.channel import ChannelClosed, WorkerEnd
from ipc.errors import JobError
from ipc.exits import WorkerExit
from ipc.failpoints import hit
from ipc.messages import Adopt, Command, Hello, Start
from ipc.work_order import read_order
from workers import processes, rescue
from workers.context import DetachRequested, JobContext
from workers.control_thread import ControlThread, EventSender
from workers.job_lock import acquire_job_lock
from workers.job_runner import JobRunner
from workers.runners import Runner, create_runner, discard_warm, runner_class, warm_up
from workers.worker_log import open_log

#: A worker without a job for so long is a spare one.
SPARE_AFTER_SECONDS = 0.03

#: What the kernel answers when it has no process, thread, descriptor or memory to give.
STARVED_ERRNOS = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})

log = logging.getLogger(__name__)


def main(end: WorkerEnd) -> int:
    """Run one job for the supervisor at the other end; returns the exit code."""
    # A session of its own: the supervisor kills what a dead worker left in it.
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What a shim that is killed leaves running becomes this process's to find.
    processes.adopt_orphans()
    setproctitle("launchd: worker idle")
    sender = EventSender(end)
    try:
        hit("worker.hello")
        sender.send(Hello(os.getpid()))
        if not connection.wait([end.fileno()], SPARE_AFTER_SECONDS):
            warm_up(preloaded_resources())
        match _first_command(end):
            case Adopt(rescue=True) as assignment:
                return _rescue(assignment, end, sender)
            case Start() | Adopt() as assignment:
                return _work(assignment, end, sender)
            case _:
                return WorkerExit.DETACHED
    except ChannelClosed:
        return WorkerExit.ORPHANED
    except DetachRequested as request:
        return request.exit_code
    except Exception as error:
        # An error of the worker, not the job's: the exit code tells the supervisor, the log has the traceback.
        log.exception("The worker met an unexpected error.")
        return WorkerExit.STARVED if _is_starved(error) else WorkerExit.CRASHED


def _is_starved(error: Exception) -> bool:
    match error:
        case OSError(errno=number):
            return number in STARVED_ERRNOS
        case MemoryError():
            return True
        case _:
            return False


def _first_command(end: WorkerEnd) -> Command:
    parent = parent_process()
    if parent is not None:
        ready = connection.wait([end.fileno(), parent.sentinel])
        if end.fileno() not in ready:
            raise ChannelClosed("the supervisor is gone")
    return end.receive()


def _work(assignment: Start | Adopt, end: WorkerEnd, sender: EventSender) -> int:
    directory = Path(assignment.directory)
    order = read_order(directory)
    open_log(directory)
    setproctitle(f"launchd: worker {order.queue}/{order.item_id}")
    context = JobContext(order, assignment.api_key, sender.send)
    try:
        runner = create_runner(order, preloaded_resources())
        # A runner that forks does so now: from the control thread on, this process has threads.
        runner.prepare()
    except JobError as error:
        context.report_failure(error)
        return WorkerExit.DONE
    with acquire_job_lock(directory, order.attempt):
        hit("worker.started")
        job = _job_runner(end, sender, context, runner)
        match assignment:
            case Adopt(handle=handle):
                job.adopt(handle)
            case _:
                job.start()
    return WorkerExit.DONE


def _rescue(assignment: Adopt, end: WorkerEnd, sender: EventSender) -> int:
    """Watch a job whose workers died again and again, with as little as that takes."""
    directory = Path(assignment.directory)
    open_log(directory)
    discard_warm(preloaded_resources())
    order = rescue.work_order(assignment)
    setproctitle(f"launchd: worker {order.name} (rescue)")
    context = JobContext(order, "", sender.send)
    with acquire_job_lock(directory, order.attempt):
        hit("worker.started")
        runner = runner_class(order.spec.resource)(order)
        _job_runner(end, sender, context, runner).rescue(assignment.handle)
    return WorkerExit.DONE


def _job_runner(end: WorkerEnd, sender: EventSender, context: JobContext, runner: Runner) -> JobRunner:
    """Return what takes the job on; from now on the supervisor is heard."""
    control = ControlThread(end, sender, context)
    try:
        control.start()
    except RuntimeError as error:
        # Python's word for a thread that the kernel refused.
        raise OSError(errno.EAGAIN, "no thread can be started") from error
    return JobRunner(context, runner, control)
