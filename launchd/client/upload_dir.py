"""The files of a directory that are uploaded as code, and their digests.

Owns the list of names that are never code. It reads files alone.
"""

import hashlib
import os
import stat
from base64 import b64encode
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec

CHUNK_BYTES = 1 << 20

#: Names that are never code: histories, caches, files of builds and editors.
IGNORED = (
    ".git",
    ".hg",
    ".svn",
    ".venv",
    "__pycache__",
    "*.pyc",
    ".tox",
    ".nox",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".ipynb_checkpoints",
    "node_modules",
    ".DS_Store",
)
VENV_MARK = "pyvenv.cfg"  # a directory with this file is a virtual environment


class CodeFile(msgspec.Struct, frozen=True):
    """One file of a code directory. `name` is its path below the directory, with slashes; `size` is in bytes."""

    name: str
    path: Path
    size: int
    executable: bool


def list_code_files(directory: Path, ignore: Sequence[str] = IGNORED) -> Iterator[CodeFile]:
    """Yield the regular files of a directory, in order of their names, without those whose name matches `ignore`.

    A link to a file counts as that file. Left out are links to directories, which may lead anywhere, dangling links,
    sockets, devices, pipes and virtual environments. Raises `OSError` where something cannot be read.
    """
    for folder, folders, names in os.walk(directory, onerror=_raise):
        if VENV_MARK in names and Path(folder) != directory:
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not _matches(name, ignore))
        for name in sorted(names):
            if not _matches(name, ignore):
                yield from _code_file(directory, Path(folder, name))


def _code_file(directory: Path, path: Path) -> Iterator[CodeFile]:
    try:
        status = path.stat()
    except OSError:
        if path.is_symlink():
            return
        raise
    if stat.S_ISREG(status.st_mode):
        name = path.relative_to(directory).as_posix()
        yield CodeFile(name, path, status.st_size, bool(status.st_mode & stat.S_IXUSR))


def digest_of(path: Path) -> str:
    """Return the MD5 of a file in base64, W&B's form. It detects damage, not manipulation."""
    md5 = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as content:
        while chunk := content.read(CHUNK_BYTES):
            md5.update(chunk)
    return b64encode(md5.digest()).decode()


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _raise(error: OSError) -> None:
    raise error
