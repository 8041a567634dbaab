"""Makes the directories of a job's users: empty, and given away while they are empty.

What lies in their places, of an earlier worker, is moved out of the way and removed as the user who owns it.
"""

import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from ipc.errors import HostError
from ipc.trees import remove_tree
from ipc.work_order import FETCH_DIRECTORY, JobUser, WorkOrder

#: A job's working directory, in its own; and where it is fetched, in the directory for that.
WORK_DIRECTORY = "work"

#: What stands in the name of a directory that is to be removed.
_OLD = ".old-"

_MODE = 0o700


def make_directories(order: WorkOrder, warn: Callable[[str], None]) -> None:
    """Make the directories of the job's users anew; what cannot be removed of earlier ones is told to ``warn``.

    Raises:
        HostError: they cannot be given to the users of the job.
        OSError: the disk refuses them.
    """
    directory = Path(order.directory)
    owners = _owners(order)
    for name in owners:
        _set_aside(directory / name)
    for path in directory.iterdir():
        if _OLD in path.name:
            remove_directory(path, warn)
    for name, user in owners.items():
        give_new_directory(directory / name, user)


def _owners(order: WorkOrder) -> Mapping[str, JobUser | None]:
    user = order.user
    own = {Path(path).name: user for path in (user.home, user.temporary) if path} if user and user.temporary else {}
    return {FETCH_DIRECTORY: order.fetch_user, WORK_DIRECTORY: user, **own}


def give_new_directory(path: Path, user: JobUser | None) -> None:
    """Make the directory ``path`` for ``user``, None for the agent's own; no other user can look into another's.

    Raises:
        HostError: it cannot be given to the user.
        OSError: the disk refuses it.
    """
    path.mkdir()
    path.chmod(_MODE)
    if user is None:
        return
    try:
        os.chown(path, user.uid, user.gid, follow_symlinks=False)
    except PermissionError as error:
        sentence = f"The directory {path} could not be given to the user {user.login}: {error.strerror}."
        raise HostError(sentence, hint="Only an agent that is run by root can run jobs as another user.") from error


def remove_directory(path: Path, warn: Callable[[str], None]) -> None:
    """Remove a directory with what is in it, as the user who owns it; a failure is told to ``warn``."""
    problem = remove_tree(path)
    if problem is not None:
        warn(f"What is not needed any more of the job's files could not be removed: {problem}.")


def _set_aside(path: Path) -> None:
    if os.path.lexists(path):
        path.rename(path.with_name(f"{path.name}{_OLD}{secrets.token_hex(4)}"))
