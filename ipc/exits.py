"""What a worker's exit code means: a contract between worker and supervisor."""

import signal
from enum import IntEnum


class WorkerExit(IntEnum):
    """Exit codes of a worker process, as ``multiprocessing`` reports them."""

    #: The job reached its end and ``Finished`` or ``Failed`` was sent before.
    DONE = 0
    #: An uncaught exception; Python's own code.
    CRASHED = 1
    #: The supervisor said ``Detach``; the workload runs on.
    DETACHED = 75
    #: The supervisor is gone; the workload runs on.
    ORPHANED = 76
    #: The host has no process, thread, descriptor or memory left to give: no fault of the job. It did nothing.
    STARVED = 77
    #: ``multiprocessing`` reports this when the fork server died: the worker may be alive.
    UNKNOWN = 255


def describe(exit_code: int) -> str:
    """Return what ``exit_code`` says, in words for a log or a person."""
    if exit_code < 0:
        return _describe_signal(-exit_code)
    meanings: dict[int, str] = {
        WorkerExit.DONE: "ended without reporting an outcome",
        WorkerExit.CRASHED: "ended with an unexpected error",
        WorkerExit.DETACHED: "left its job running",
        WorkerExit.ORPHANED: "lost its supervisor",
        WorkerExit.STARVED: "ended because this host gave it no more processes, threads, open files or memory",
        WorkerExit.UNKNOWN: "ended in an unknown way (the fork server died)",
    }
    return meanings.get(exit_code, f"ended with exit code {exit_code}")


def _describe_signal(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    suspicion = " (out of memory?)" if number == signal.SIGKILL else ""
    return f"was killed by {name}{suspicion}"
