"""A program for a job's files, run as the user who owns them: it packs, unpacks, measures or removes them.

    python -I -S tree_tool.py pack | unpack [DESCRIPTOR] | measure BYTES | remove | end

The directory is its working directory, where its starter may enter it and it may not enter those above. Standard
library alone, for it is started afresh each time, and by an older Python too. It trusts neither a tree nor an archive:
it follows no link, and what it makes of an archive stays in the directory.
"""

from __future__ import annotations

import errno
import os
import resource
import secrets
import shutil
import signal
import stat
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import IO

#: More than any project needs, and little enough for every path to be one that the kernel takes.
MAX_DEPTH = 200
MAX_ENTRIES = 2_000_000
MAX_BYTES = 256 << 30

#: What unpacking may take of memory, in bytes: an archive's own headers are read whole.
_MEMORY_BYTES = 1 << 30

#: How long removing may take, in seconds, where something goes on making files.
REMOVAL_SECONDS = 900.0

_CHUNK_BYTES = 1 << 20


class Refused(Exception):
    """A tree or an archive is none that is handed over; the text says why, as the end of a sentence."""


# -- packing


def pack(out: IO[bytes]) -> None:
    """Write the directories, plain files and links of the working directory to ``out``; raises :class:`Refused`."""
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for path, status in _walk():
            _add(archive, path, status)


def _walk() -> Iterator[tuple[str, os.stat_result]]:
    """Yield all below the working directory, a directory before what is in it."""
    waiting = [""]
    while waiting:
        directory = waiting.pop()
        if directory.count("/") >= MAX_DEPTH:
            raise Refused(f"has directories more than {MAX_DEPTH} deep")
        with os.scandir(directory or ".") as entries:
            for entry in entries:
                path = f"{directory}{entry.name}"
                yield path, entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(f"{path}/")


def _add(archive: tarfile.TarFile, path: str, status: os.stat_result) -> None:
    member = tarfile.TarInfo(path)
    member.mtime = int(status.st_mtime)
    member.mode = 0o755 if status.st_mode & stat.S_IXUSR else 0o644
    if stat.S_ISDIR(status.st_mode):
        member.type = tarfile.DIRTYPE
        archive.addfile(member)
    elif stat.S_ISLNK(status.st_mode):
        member.type, member.linkname = tarfile.SYMTYPE, str(Path(path).readlink())
        archive.addfile(member)
    elif stat.S_ISREG(status.st_mode):
        with open(path, "rb", opener=_open_plain) as file:
            member.size = os.fstat(file.fileno()).st_size
            archive.addfile(member, file)


def _open_plain(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


# -- unpacking


class Unpacker:
    """Makes the files of an archive below the working directory, which is empty and which no other process changes.

    Links are made last, so that nothing can be written through one.
    """

    def __init__(self) -> None:
        self._directories = {Path()}
        self._links: dict[Path, str] = {}
        self._entries = 0
        self._bytes = 0

    def unpack(self, source: IO[bytes]) -> list[str]:
        """Unpack ``source`` and return what was left out, each as a text; raises :class:`Refused`."""
        with tarfile.open(fileobj=source, mode="r|", errorlevel=2) as archive:
            for member in archive:
                self._make(archive, member)
                # It keeps all members that it has seen.
                archive.members.clear()  # type: ignore[attr-defined]
        return [left for path, target in self._links.items() if (left := self._link(path, target))]

    def _make(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = self._checked(member)
        if member.type == tarfile.DIRTYPE:
            path_is_new = path not in self._directories
            self._directories.add(path)
            if path_is_new:
                path.mkdir(0o755)
        elif member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and member.sparse is None:
            self._write(archive, member, path)
        elif member.type == tarfile.SYMTYPE:
            self._links[path] = member.linkname
        else:
            raise Refused(f"has {_shown(member.name)}, which is no file, directory or symbolic link")

    def _checked(self, member: tarfile.TarInfo) -> Path:
        path = Path(member.name)
        self._entries += 1
        self._bytes += member.size
        if path.is_absolute() or ".." in path.parts or "\0" in member.name or path.parent not in self._directories:
            raise Refused(f"has {_shown(member.name)}, which lies in no directory of its own")
        if len(path.parts) > MAX_DEPTH + 1:
            raise Refused(f"has directories more than {MAX_DEPTH} deep")
        if self._entries > MAX_ENTRIES or self._bytes > MAX_BYTES:
            raise Refused(f"has more than {MAX_ENTRIES} files, or than {MAX_BYTES >> 30} GiB")
        return path

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
        source = archive.extractfile(member)
        assert source is not None
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(path, flags, member.mode & 0o755), "wb") as file:
            shutil.copyfileobj(source, file, _CHUNK_BYTES)
        with suppress(OSError, OverflowError, ValueError):
            os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)

    def _link(self, path: Path, target: str) -> str | None:
        if not _leads_inside(path, target):
            return f"{_shown(str(path))} -> {_shown(target)}"
        path.symlink_to(target)
        return None


def _leads_inside(path: Path, target: str) -> bool:
    """Return whether a link at ``path`` leads to the inside: up first, no further than to the top, and then down."""
    parts = Path(target).parts
    up = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    is_plain = bool(target) and not target.startswith("/") and ".." not in parts[up:]
    return is_plain and up < len(path.parts)


def _shown(name: str) -> str:
    return ascii(name[:200])


# -- measuring

#: Files with several names that are known by their number, so that each counts once; more than that count not at all.
_MAX_LINKED = 1_000_000

#: The unit of ``st_blocks``, which is the same on every file system.
_BLOCK_BYTES = 512


def measure(limit: int) -> int:
    """Return how many bytes of the disk all below the working directory takes; no further than above ``limit``.

    What goes meanwhile does not count.

    Raises:
        Refused: it cannot be measured.
    """
    total, linked, waiting = 0, set[tuple[int, int]](), [""]
    while waiting and total <= limit:
        directory = waiting.pop()
        for name, status in _statuses(directory):
            total += _taken(status, linked)
            if stat.S_ISDIR(status.st_mode):
                waiting.append(f"{directory}{name}/")
    return total


def _statuses(directory: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what is in ``directory``; nothing where it is gone, and nothing of what goes meanwhile."""
    if directory.count("/") >= MAX_DEPTH:
        raise Refused(f"it has directories more than {MAX_DEPTH} deep")
    try:
        with os.scandir(directory or ".") as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    yield entry.name, entry.stat(follow_symlinks=False)
    except (FileNotFoundError, NotADirectoryError):
        return
    except PermissionError:
        raise Refused(f"it has {_shown(directory)}, which its own user may not look into") from None


def _taken(status: os.stat_result, linked: set[tuple[int, int]]) -> int:
    if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
        number = (status.st_dev, status.st_ino)
        if number in linked or len(linked) >= _MAX_LINKED:
            return 0
        linked.add(number)
    return status.st_blocks * _BLOCK_BYTES


# -- removing


def remove_contents(directory: int, seconds: float = REMOVAL_SECONDS) -> str | None:
    """Remove all that is in the open ``directory``; return why something is left, or None.

    A directory in a directory is moved up and emptied in its turn, so that depth costs neither stack nor descriptors,
    and no path grows long.
    """
    deadline = time.monotonic() + seconds
    problem: str | None = None
    is_changing = True
    while is_changing:
        is_changing, problem = _remove_once(directory)
        if is_changing and time.monotonic() > deadline:
            return f"it was not done after {seconds:g} s"
    return problem


def _remove_once(directory: int) -> tuple[bool, str | None]:
    """Remove what can be removed in one go; return whether there was any, and what could not be."""
    is_changed, problem = False, None
    with os.scandir(directory) as entries:
        for entry in entries:
            try:
                if entry.is_dir(follow_symlinks=False):
                    _remove_directory(directory, entry.name)
                else:
                    os.unlink(entry.name, dir_fd=directory)
                is_changed = True
            except FileNotFoundError:
                pass
            except OSError as error:
                problem = f"{_shown(entry.name)}: {error.strerror}"
    return is_changed, problem


def _remove_directory(top: int, name: str) -> None:
    """Remove a directory, after moving the directories in it up to ``top``."""
    try:
        os.rmdir(name, dir_fd=top)
    except OSError:
        # Not empty, most likely. Its owner may look into it after a change of its mode, and no other user works in it.
        if not _make_accessible(name, top):
            raise PermissionError(errno.EPERM, "it belongs to another user") from None
        inner = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=top)
        try:
            _empty_into(top, inner)
        finally:
            os.close(inner)
        os.rmdir(name, dir_fd=top)


def _empty_into(top: int, directory: int) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                # Moving a directory changes it, too.
                _make_accessible(entry.name, directory)
                os.rename(entry.name, f".removed-{secrets.token_hex(8)}", src_dir_fd=directory, dst_dir_fd=top)
            else:
                os.unlink(entry.name, dir_fd=directory)


def _make_accessible(name: str, directory: int) -> bool:
    """Make a directory one that can be looked into and moved; return whether it is this process's user's."""
    is_ours = os.stat(name, dir_fd=directory, follow_symlinks=False).st_uid == os.geteuid()
    if is_ours:
        with suppress(OSError):
            os.chmod(name, 0o700, dir_fd=directory)
    return is_ours


# -- the program


def end_processes() -> None:
    """Kill all processes of this process's user but itself; only for a user who belongs to one job."""
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)


def main(task: str, number: int = 0) -> int:
    """Do ``task`` with ``number``, a descriptor or a limit; returns the exit code, and says why it is not 0."""
    os.umask(0o022)
    try:
        return _run(task, number)
    except Refused as refusal:
        return _failed(str(refusal))
    except OSError as error:
        return _failed(f"met an error: {error.strerror or error}")
    except Exception as error:  # noqa: BLE001 (tarfile raises errors of many kinds over what is no proper archive)
        return _failed(f"is no archive that can be read ({type(error).__name__})")


def _run(task: str, number: int) -> int:
    if task == "pack":
        pack(sys.stdout.buffer)
    elif task == "unpack":
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        for left in Unpacker().unpack(os.fdopen(number, "rb")):
            sys.stdout.write(f"{left}\n")
    elif task == "measure":
        began = time.monotonic()
        sys.stdout.write(f"{measure(number)} {time.monotonic() - began:.3f}\n")
    elif task == "end":
        end_processes()
    else:
        problem = remove_contents(os.open(".", os.O_RDONLY | os.O_DIRECTORY))
        return 0 if problem is None else _failed(problem)
    return 0


def _failed(why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], *map(int, sys.argv[2:])))
