"""Files in a job's directory that others than their writer look at.

Owns their names and what their presence says; their content belongs to the process that writes them. Writes nothing.
"""

from pathlib import Path

from ipc.file_locks import is_held

#: The job's output; rotated, it is ``output.log.1`` and so on.
OUTPUT_FILE = "output.log"

#: The position in the whole output at which :data:`OUTPUT_FILE` begins; 0 where it is missing.
OUTPUT_START_FILE = "output.start"

#: The log records of the job's workers.
WORKER_LOG_FILE = "worker.log"

#: What is too long for a message about a failure.
FAILURE_FILE = "failure.txt"

#: Held by the living shim that keeps the job.
LOCK_FILE = "shim.lock"

#: There before the command's first instruction.
STARTED_FILE = "started.json"

#: There before a workload is created that its target keeps: a container, an object of a cluster, a job of a cloud.
SUBMITTED_FILE = "submitted"


def was_started(directory: Path) -> bool:
    """Return whether the command may have run. After a power cut that can be true with nothing to be read."""
    return (directory / STARTED_FILE).exists()


def was_submitted(directory: Path) -> bool:
    """Return whether the workload may have been created, as a process of this host or elsewhere."""
    return was_started(directory) or (directory / SUBMITTED_FILE).exists()


def is_locked(directory: Path) -> bool:
    """Return whether a shim holds the lock."""
    try:
        return is_held(directory / LOCK_FILE)
    except FileNotFoundError:
        return False
