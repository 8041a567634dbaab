"""Gives a job's files to the job's user, where that is another one than the agent's."""

import os
from pathlib import Path

from ipc.errors import SubmitError
from ipc.work_order import JobUser

_SEARCHABLE = 0o711
_HINT = "Only an agent run by root can run jobs as another user."


def hand_over(directory: Path, tree: Path, user: JobUser) -> None:
    """Give ``tree`` to ``user``, and let ``user`` pass through (but not list) the job's ``directory``.

    Raises:
        SubmitError: the files cannot be handed over.
    """
    try:
        directory.chmod(_SEARCHABLE)
        _give_tree(tree, user.uid, user.gid)
    except OSError as error:
        sentence = f"The job's files could not be given to the user {user.login}: {error}."
        raise SubmitError(sentence, hint=_HINT) from error


def _give_tree(tree: Path, uid: int, gid: int) -> None:
    # Links are changed themselves and never followed: they may lead out of the job.
    os.chown(tree, uid, gid, follow_symlinks=False)
    for path in tree.rglob("*"):
        os.chown(path, uid, gid, follow_symlinks=False)
