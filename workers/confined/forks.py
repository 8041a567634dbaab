"""What a fork of a worker does before it touches what a submitter wrote: it becomes another user, within limits."""

import os
import resource
from pathlib import Path

from ipc.work_order import JobUser


def become(user: JobUser) -> None:
    """Make this process the job's user for good, without any group but its own."""
    os.setgroups([])
    os.setresgid(user.gid, user.gid, user.gid)
    # What this process remembers of the worker stays its own: after this none but root may look into it.
    os.setresuid(user.uid, user.uid, user.uid)


def limit_memory(most: int) -> None:
    """Limit what this process takes to ``most`` bytes, beside what it was forked with, which counts as its own."""
    pages = int(Path("/proc/self/statm").read_text().split()[5])
    limit = pages * resource.getpagesize() + most
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
