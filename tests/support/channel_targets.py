"""What the worker processes of the channel's tests run; imported in those processes."""

import os
import signal
from multiprocessing import connection, parent_process

from ipc.channel import WorkerEnd
from ipc.failpoints import FailpointReached
from ipc.messages import MAX_MESSAGE_BYTES, Hello, PhaseChanged, Submitting
from ipc.states import JobState

#: As long as a message can be; a name is the one text in an event that is not cut.
LONG = Submitting("x" * (MAX_MESSAGE_BYTES - 60))


def say_hello_and_exit(end: WorkerEnd) -> int:
    end.send(Hello(os.getpid()))
    os._exit(7)


def flood(end: WorkerEnd) -> int:
    while True:
        end.send(LONG)


def crash(_end: WorkerEnd) -> int:
    raise FailpointReached("on purpose")


def segfault(_end: WorkerEnd) -> int:
    os.kill(os.getpid(), signal.SIGSEGV)
    return 0


def wait_for_command(end: WorkerEnd) -> int:
    end.send(Hello(os.getpid()))
    end.receive()
    return 0


def report_parents_death(end: WorkerEnd) -> int:
    """Say which process is the parent, wait for the supervisor's death, and leave a file."""
    parent = parent_process()
    assert parent is not None
    end.send(PhaseChanged(JobState.CLAIMED, f"{os.getppid()} {os.environ['FACT_FILE']}"))
    connection.wait([parent.sentinel])
    with open(os.environ["FACT_FILE"], "w") as file:  # noqa: PTH123 - nothing more than this in a dying process
        file.write("orphaned")
    return 0
