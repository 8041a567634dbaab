"""The files of a project as data: copied for a build, and known by a hash of what they hold.

No link leads out of the copy, and no file that only the agent can read gets into it.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from ipc.messages import shorten
from workers.context import JobContext
from workers.images.copying import copy_tree
from workers.sources import Project

#: What git notes for itself differs from one fetch to the next.
_GIT = ".git"
_GIT_HEAD = "HEAD"
_CHUNK_BYTES = 1 << 20
_NAMES_BYTES = 600


def copy_project(project: Project, context: JobContext, into: Path) -> None:
    """Copy the project into the new directory ``into``, which is the agent's; links out of it are left out.

    Raises:
        SourceError: it has files of a kind that is not handed over, or too many.
        HostError: this host cannot copy it.
        JobCancelled: the job was stopped meanwhile.
    """
    into.mkdir(mode=0o755)
    left_out = copy_tree(project.directory, context.order.user, into, context)
    if left_out:
        names = shorten("; ".join(left_out), _NAMES_BYTES)
        context.warn(f"Links that lead out of the project were left out of its image: {names}.", "build")


def digest_of(tree: Path, keep_going: Callable[[], None] = lambda: None) -> str:
    """Return a hash of all below ``tree``: names, contents, links, and what is executable; no times, no owners.

    Of git's own directory only the commit counts. ``keep_going`` is called before each file.
    """
    found = hashlib.sha256()
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        with os.scandir(tree / directory) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                keep_going()
                path = f"{directory}{entry.name}"
                if path == _GIT and entry.is_dir(follow_symlinks=False):
                    _add(found, "commit", path, _commit(tree))
                elif entry.is_symlink():
                    _add(found, "link", path, os.fsencode(os.readlink(entry.path)))  # noqa: PTH115 (not a Path)
                elif entry.is_dir(follow_symlinks=False):
                    _add(found, "directory", path, b"")
                    waiting.append(f"{path}/")
                else:
                    kind = "program" if entry.stat().st_mode & 0o100 else "file"
                    _add(found, kind, path, _content(entry.path))
    return found.hexdigest()


def _add(found: "hashlib._Hash", kind: str, path: str, content: bytes) -> None:
    # Lengths first, so that no two trees come to the same text.
    for part in (kind.encode(), os.fsencode(path), content):
        found.update(len(part).to_bytes(8, "big"))
        found.update(part)


def _content(path: str) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:  # noqa: PTH123 (a Path would be made for each)
        while data := file.read(_CHUNK_BYTES):
            digest.update(data)
    return digest.digest()


def _commit(tree: Path) -> bytes:
    head = tree / _GIT / _GIT_HEAD
    return head.read_bytes()[:_CHUNK_BYTES] if head.is_file() else b""
