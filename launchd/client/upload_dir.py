"""The files of a directory that are uploaded as code, and their digests.

Owns the lists of names that are never code, and of those that may hold secrets. It reads files alone.
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

#: Names that are never code: histories, caches, files of builds and editors, runs of W&B's client. A slash at the end
#: stands for directories alone.
IGNORED = (
    "wandb/",
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
    """The code files of a directory, and the paths below it that were left out, in order.

    `left_out` are those that may hold secrets, `ignored` those that the project's own lists name, and `links` those
    that lead nowhere, in a circle, or to a directory elsewhere.
    """

    files: list[CodeFile] = []
    left_out: list[str] = []
    ignored: list[str] = []
    links: list[str] = []

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(file.size for file in self.files)


def list_code_files(directory: Path, ignore: Sequence[str] = IGNORED, include: Sequence[str] = ()) -> CodeListing:
    """Return the regular files of a directory, in order of their names, without those whose name matches `ignore`.

    Links count as what they lead to: files anywhere, and directories within the one that `directory` lies in. Left out
    are other links to directories, dangling ones, sockets, devices, pipes and virtual environments; what the project's
    `.gitignore` and `.wandbignore` name; and what may hold :data:`SECRETS`, a link to it too. What matches `include`,
    by its name or by its path below the directory, is not left out. Raises `OSError` where something cannot be read.
    """
    sorter = _Sorter(directory, ignore, include)
    for folder, folders, names in os.walk(directory, onerror=_raise, followlinks=True):
        if VENV_MARK in names and Path(folder) != directory:
            folders.clear()
            continue
        folders[:] = [name for name in sorted(folders) if sorter.takes(Path(folder, name), is_directory=True)]
        for name in sorted(names):
            if sorter.takes(Path(folder, name), is_directory=False):
                sorter.listing.files += _code_file(directory, Path(folder, name))
    return sorter.listing


class _Sorter:
    """Says of each path whether it is code, and notes what is left out and of use to know."""

    def __init__(self, directory: Path, ignore: Sequence[str], include: Sequence[str]) -> None:
        # Here: what only downloads, as workers do, needs no library for it.
        from launchd.client.ignore_files import IgnoreFiles  # noqa: PLC0415

        self.listing = CodeListing()
        self._directory = directory
        self._ignore, self._include = ignore, include
        self._lists = IgnoreFiles(directory)
        self._around = Path(os.path.realpath(directory)).parent

    def takes(self, path: Path, *, is_directory: bool) -> bool:
        """Return whether a file is code, or a directory to be looked into."""
        if _matches(path.name, self._ignore) or (is_directory and _matches(f"{path.name}/", self._ignore)):
            return False
        noted = self._leaves_out(path, is_directory)
        if noted is not None:
            noted.append(path.relative_to(self._directory).as_posix())
        return noted is None

    def _leaves_out(self, path: Path, is_directory: bool) -> list[str] | None:
        """Return the list of those that are left out for the same reason, None for what is not."""
        is_named = self._is_named(path)
        if not self._is_below_named(path) and self._lists.ignores(path, is_directory=is_directory):
            return self.listing.ignored
        if not is_named and _may_be_secret(path, self._directory):
            return self.listing.left_out
        if path.is_symlink() and self._leads_astray(path, is_directory, is_named):
            return self.listing.links
        return None

    def _is_named(self, path: Path) -> bool:
        below = path.relative_to(self._directory).as_posix()
        return _matches(path.name, self._include) or _matches(below, self._include)

    def _is_below_named(self, path: Path) -> bool:
        inside = len(path.relative_to(self._directory).parts)
        return any(map(self._is_named, (path, *path.parents)[:inside]))

    def _leads_astray(self, link: Path, is_directory: bool, is_named: bool) -> bool:
        target = Path(os.path.realpath(link))
        if not is_directory:
            return not target.exists()
        # Into a directory that it lies in, also by way of other links.
        is_circle = any(Path(os.path.realpath(folder)).is_relative_to(target) for folder in link.parents)
        return is_circle or not (is_named or target.is_relative_to(self._around))


def _may_be_secret(path: Path, directory: Path) -> bool:
    names = [path.name]
    if path.is_symlink():
        target, root = Path(os.path.realpath(path)), Path(os.path.realpath(directory))
        names += (target.relative_to(root) if target.is_relative_to(root) else target).parts
    return any(_matches(name.lower(), SECRETS) for name in names)


def _code_file(directory: Path, path: Path) -> Iterator[CodeFile]:
    status = path.stat()
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
