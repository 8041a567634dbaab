"""Whom the jobs of this host run as."""

import os
import pwd
from functools import cache

from ipc.work_order import JobUser


@cache
def named_user(name: str) -> JobUser:
    """Return the user of this host called ``name``, as this process first saw it; raises :class:`LookupError`."""
    entry = pwd.getpwnam(name)
    groups = tuple(os.getgrouplist(name, entry.pw_gid))
    return JobUser(entry.pw_uid, entry.pw_gid, entry.pw_dir, name, entry.pw_shell, groups)
