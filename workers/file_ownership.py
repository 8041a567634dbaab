"""Gives a job's files to the job's user, where the host's policy names one."""

import os
import pwd
from pathlib import Path

from ipc.errors import SubmitError

_SEARCHABLE = 0o711
_HINT = "The administrator sets the user in launchd.policy.run_as_user; only an agent run by root can use another one."


def require_user(name: str) -> pwd.struct_passwd:
    """Return the entry of the user ``name``; raises :class:`SubmitError` when this host has no such user."""
    try:
        return pwd.getpwnam(name)
    except KeyError as error:
        raise SubmitError(f"There is no user {name} on this host to run the job as.", hint=_HINT) from error


def hand_over(directory: Path, tree: Path, user: str) -> None:
    """Give ``tree`` to ``user``, and let ``user`` pass through (but not list) the job's ``directory``.

    Raises:
        SubmitError: there is no such user, or the files cannot be handed over.
    """
    entry = require_user(user)
    try:
        directory.chmod(_SEARCHABLE)
        _give_tree(tree, entry.pw_uid, entry.pw_gid)
    except OSError as error:
        raise SubmitError(f"The job's files could not be given to the user {user}: {error}.", hint=_HINT) from error


def _give_tree(tree: Path, uid: int, gid: int) -> None:
    # Links are changed themselves and never followed: they may lead out of the job.
    os.chown(tree, uid, gid, follow_symlinks=False)
    for path in tree.rglob("*"):
        os.chown(path, uid, gid, follow_symlinks=False)
