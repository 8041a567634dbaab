"""The agent's directories that jobs of other users have to pass through. Owns their mode."""

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
