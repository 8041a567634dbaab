"""The output of jobs, as far as it is kept: for each item the last part of one job's output, in a file of its own.

Writes what agents send, in their order, and forgets what is older than the most that is kept. A file is no part of the
database: output is worth no commit, and after a power cut the end of one may be missing.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from launchd.server.errors import StoreUnavailable
from launchd.server.private_files import make_private_directory, open_private

KEPT_BYTES = 1024 * 1024
"""The most that is kept of an output that has ended."""
_MOST_BYTES = 2 * KEPT_BYTES
"""What a file may hold before it is cut to `KEPT_BYTES`."""
_HEADER_BYTES = 512
_SHARD_LETTERS = 2


class OutputPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of an output, as an agent sends it. Positions count the bytes of the whole output of one attempt."""

    attempt: str
    """Names the attempt; another one begins anew."""
    start: int
    content: bytes
    size: int
    """How long the whole output was when the piece was read."""
    is_last: bool
    """The job is over, and nothing follows."""


class KeptOutput(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of the output of an item: the bytes from `start` to `end`."""

    attempt: str = ""
    start: int = 0
    end: int = 0
    size: int = 0
    is_complete: bool = False
    heard_at: float = 0.0
    """When the agent last sent something or nothing, in seconds since 1970; 0: never."""


_decoder = msgspec.json.Decoder(KeptOutput)


class OutputStore:
    """Outputs under `directory`: `<two letters>/<item id>`. Several servers may share it; any thread may call."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        make_private_directory(directory)

    def add(self, item_id: str, piece: OutputPiece) -> KeptOutput:
        """Keep a piece. What is there already is not kept twice; what is missing before it is a gap. Returns the state.

        Raises:
            StoreUnavailable: the disk is full or failed.
        """
        try:
            with self._locked(item_id, fcntl.LOCK_EX) as path:
                return _add(path, piece)
        except OSError as error:
            raise StoreUnavailable(f"The output cannot be kept: {error.strerror}.") from error

    def read(self, item_id: str, attempt: str, after: int, limit: int) -> tuple[KeptOutput, int, bytes]:
        """What is kept, and at most `limit` bytes of it: from the position `after` of `attempt`, else from its start.

        Returns the state, the position of the bytes, and the bytes.
        """
        try:
            with self._locked(item_id, fcntl.LOCK_SH) as path, path.open("rb") as file:
                kept = _read_header(file)
                follows = kept.attempt == attempt and kept.start <= after <= kept.end
                start = after if follows else kept.start
                file.seek(_HEADER_BYTES + start - kept.start)
                return kept, start, file.read(min(limit, kept.end - start))
        except OSError:
            return KeptOutput(), 0, b""

    def copy(self, item_id: str, target: Path) -> bool:
        """Copy the file of an item, as it is between two pieces; False: there is none any more."""
        make_private_directory(target.parent)
        try:
            with self._locked(item_id, fcntl.LOCK_SH) as path, path.open("rb") as file, open_private(target) as copy:
                shutil.copyfileobj(file, copy)
        except FileNotFoundError:
            return False
        return True

    def remove_older(self, seconds: float) -> int:
        """Remove the outputs to which nothing was added for so long. Returns how many."""
        before, removed = time.time() - seconds, 0
        for path in self._directory.glob(f"{'?' * _SHARD_LETTERS}/*"):
            try:
                if path.stat().st_mtime < before:
                    path.unlink()
                    removed += 1
            except OSError:
                continue
        return removed

    @contextmanager
    def _locked(self, item_id: str, operation: int) -> Iterator[Path]:
        shard = self._directory / item_id[:_SHARD_LETTERS]
        shard.mkdir(mode=0o700, exist_ok=True)
        with open_private(self._directory / f"{shard.name}.lock") as lock:
            fcntl.flock(lock, operation)
            yield shard / item_id


def _add(path: Path, piece: OutputPiece) -> KeptOutput:
    with open_private(path):
        pass
    with path.open("r+b") as file:
        before = _read_header(file)
        follows = before.attempt == piece.attempt and before.start <= piece.start <= before.end
        kept = before if follows else KeptOutput(attempt=piece.attempt, start=piece.start, end=piece.start)
        new = piece.content[kept.end - piece.start :]
        file.seek(_HEADER_BYTES + kept.end - kept.start)
        file.write(new)
        file.truncate()
        kept = msgspec.structs.replace(
            kept,
            end=kept.end + len(new),
            size=max(piece.size, kept.end + len(new)),
            is_complete=piece.is_last,
            heard_at=time.time(),
        )
        if kept.end - kept.start > (KEPT_BYTES if piece.is_last else _MOST_BYTES):
            kept = _cut(file, kept)
        _write_header(file, kept)
        return kept


def _cut(file: BinaryIO, kept: KeptOutput) -> KeptOutput:
    """Forget all but the last `KEPT_BYTES`."""
    file.seek(_HEADER_BYTES + kept.end - kept.start - KEPT_BYTES)
    content = file.read(KEPT_BYTES)
    file.seek(_HEADER_BYTES)
    file.write(content)
    file.truncate()
    return msgspec.structs.replace(kept, start=kept.end - len(content))


def _read_header(file: BinaryIO) -> KeptOutput:
    """The state in a file; an empty one where the file is new, or was damaged by a power cut."""
    file.seek(0)
    try:
        kept = _decoder.decode(file.read(_HEADER_BYTES))
    except msgspec.DecodeError:
        return KeptOutput()
    there = os.fstat(file.fileno()).st_size - _HEADER_BYTES
    return kept if there >= kept.end - kept.start >= 0 else KeptOutput()


def _write_header(file: BinaryIO, kept: KeptOutput) -> None:
    file.seek(0)
    file.write(msgspec.json.encode(kept).ljust(_HEADER_BYTES))
