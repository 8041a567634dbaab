"""The agent's directories: that jobs of other users may pass through them, and that names survive in them."""

import os
from pathlib import Path

#: Others may pass through, to what is theirs, and not look around.
PASSABLE = 0o711


def make_passable(directory: Path) -> None:
    """Make ``directory``, with those above it, if there is none; one that is there stays as it is.

    Its mode does not depend on the umask. Raises :class:`OSError`.
    """
    if not directory.exists():
        directory.mkdir(parents=True, exist_ok=True)
        directory.chmod(PASSABLE)


def sync_names(directory: Path) -> None:
    """Make the names in ``directory`` survive a power cut: what jobs leave there is found by them.

    Raises :class:`OSError`.
    """
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
