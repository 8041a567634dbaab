"""The files of a directory that are uploaded as code, and their digests.

Owns the lists of names that are never code, and of those that may hold secrets. It reads files alone.
"""

import hashlib
import os
import stat
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
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

#: Names of files and directories that may hold secrets, in lower case: they are uploaded on purpose alone.
SECRETS = (
    ".env",
    ".env.*",
    ".envrc",
    ".netrc",
    "_netrc",
    ".pypirc",
    ".npmrc",
    ".git-credentials",
    ".htpasswd",
    ".pgpass",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
    "id_ed25519*",
    "*.pem",
    "*.key",
    "*.ppk",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.kdbx",
    ".ssh",
    ".aws",
    ".azure",
    ".gcloud",
    ".gnupg",
    ".kube",
    ".docker",
)
VENV_MARK = "pyvenv.cfg"  # a directory with this file is a virtual environment


class CodeFile(msgspec.Struct, frozen=True):
    """One file of a code directory. `name` is its path below the directory, with slashes; `size` is in bytes."""

    name: str
    path: Path
    size: int
    executable: bool


class CodeListing(msgspec.Struct):
    """The code files of a directory, and the names of what was left out because it may hold secrets, in order."""

    files: list[CodeFile] = []
    left_out: list[str] = []


def list_code_files(directory: Path, ignore: Sequence[str] = IGNORED, include: Sequence[str] = ()) -> CodeListing:
    """Return the regular files of a directory, in order of their names, without those whose name matches `ignore`.

    A link to a file counts as that file. Left out are links to directories, which may lead anywhere, dangling links,
    sockets, devices, pipes and virtual environments; and what may hold :data:`SECRETS`, a link to it too, unless its
    name or its path below the directory matches `include`. Raises `OSError` where something cannot be read.
    """
    listing = CodeListing()
    for folder, folders, names in os.walk(directory, onerror=_raise):
        if VENV_MARK in names and Path(folder) != directory:
            folders.clear()
            continue
        is_left_out = _sorter(directory, Path(folder), (ignore, include), listing.left_out)
        folders[:] = [name for name in sorted(folders) if not is_left_out(name)]
        for name in sorted(names):
            if not is_left_out(name):
                listing.files += _code_file(directory, Path(folder, name))
    return listing


def _sorter(
    directory: Path, folder: Path, patterns: tuple[Sequence[str], Sequence[str]], left_out: list[str]
) -> Callable[[str], bool]:
    """Return a function that says whether a name in `folder` is left out; it notes in `left_out` what may be secret."""
    ignore, include = patterns

    def is_left_out(name: str) -> bool:
        if _matches(name, ignore):
            return True
        path = folder / name
        below = path.relative_to(directory).as_posix()
        if not _may_be_secret(path, directory) or _matches(name, include) or _matches(below, include):
            return False
        left_out.append(below)
        return True

    return is_left_out


def _may_be_secret(path: Path, directory: Path) -> bool:
    names = [path.name]
    if path.is_symlink():
        target, root = Path(os.path.realpath(path)), Path(os.path.realpath(directory))
        names += (target.relative_to(root) if target.is_relative_to(root) else target).parts
    return any(_matches(name.lower(), SECRETS) for name in names)


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
