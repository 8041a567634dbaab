"""The umask of a local job: the one that the configuration names, else what a login of its user would have.

The latter is login.defs(5): `UMASK`, and the group's bits as the owner's with `USERGROUPS_ENAB`, for a user other than
root whose own group has the user's name and number.
"""

import grp
import os
import pwd
import re
from contextlib import suppress
from pathlib import Path

from ipc.work_order import JobUser

LOGIN_SETTINGS = Path("/etc/login.defs")

_USUAL = 0o022
_SETTING = re.compile(r"^\s*(UMASK|USERGROUPS_ENAB)\s+(\S+)", re.MULTILINE)


def job_umask(configured: str | None, user: JobUser | None, settings: Path = LOGIN_SETTINGS) -> int:
    """Return the umask of a job; ``configured`` are octal digits, ``user`` is None for the agent's own user."""
    if configured is not None:
        return int(configured, 8)
    found = _read(settings)
    try:
        mask = int(found.get("UMASK", ""), 8) & 0o777
    except ValueError:
        mask = _USUAL
    uid, gid = (os.getuid(), os.getgid()) if user is None else (user.uid, user.gid)
    if found.get("USERGROUPS_ENAB", "no").lower() == "yes" and _has_own_group(uid, gid):
        return mask & ~0o070 | (mask & 0o700) >> 3
    return mask


def _read(settings: Path) -> dict[str, str]:
    with suppress(OSError, UnicodeDecodeError):
        return dict(_SETTING.findall(settings.read_text()))
    return {}


def _has_own_group(uid: int, gid: int) -> bool:
    if uid == 0 or uid != gid:
        return False
    try:
        return pwd.getpwuid(uid).pw_name == grp.getgrgid(gid).gr_name
    except KeyError:
        return False
