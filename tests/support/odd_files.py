"""What a job may put where a plain file is expected."""

import os
from pathlib import Path

ODD_KINDS = ("pipe", "directory", "link")


def put_odd_file(path: Path, kind: str) -> None:
    """Make one of the :data:`ODD_KINDS` at ``path``; the link leads to a file that can be read."""
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to("/etc/hostname")
        case _:
            raise ValueError(kind)
