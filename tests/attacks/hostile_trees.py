"""Makes hostile trees and archives out of a seed: what a submitter, or a fetcher that was taken over, may send."""

import contextlib
import os
import random
import socket
import tarfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

NAMES = (
    b"plain",
    b"new\nline",
    b"\xff\xfe",
    b"-rf",
    b" ",
    b"...",
    b"n" * 255,
    "ü\u202e".encode(),
    b"\x1b[31m",
    b"requirements.frozen.txt",
    b"pyproject.toml",
)
MAX_DEPTH = 6


def plant(directory: Path, outside: Path, seed: int) -> None:
    """Fill ``directory``; ``outside`` is what links in it lead to."""
    _fill(directory, outside, random.Random(seed), 0)


def _fill(directory: Path, outside: Path, rng: random.Random, depth: int) -> None:
    for name in rng.sample(NAMES, rng.randint(1, 5)):
        path = directory / os.fsdecode(name)
        rng.choice(MAKERS)(path, outside, rng)
        if depth < MAX_DEPTH and path.is_dir() and not path.is_symlink():
            _fill(path, outside, rng, depth + 1)
            path.chmod(rng.choice((0o755, 0o700, 0o777, 0o1777)))


def _directory(path: Path, _outside: Path, _rng: random.Random) -> None:
    path.mkdir()


def _file(path: Path, _outside: Path, rng: random.Random) -> None:
    path.write_bytes(rng.randbytes(rng.randint(0, 3000)))
    path.chmod(rng.choice((0o644, 0o755, 0o600, 0o4755)))


def _sparse(path: Path, _outside: Path, _rng: random.Random) -> None:
    with path.open("wb") as file:
        file.truncate(4 << 20)


def _link(path: Path, outside: Path, rng: random.Random) -> None:
    targets = (str(outside), f"{outside}/precious", "/", "..", "../../..", ".", "plain", "plain/..", str(path))
    path.symlink_to(rng.choice(targets))


def _fifo(path: Path, _outside: Path, _rng: random.Random) -> None:
    os.mkfifo(path)


def _socket(path: Path, _outside: Path, _rng: random.Random) -> None:
    # The path of a socket is short; its directory is entered instead.
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as made:
        made.bind(os.fsencode(path.name)[:90])


def _hard_link(path: Path, _outside: Path, _rng: random.Random) -> None:
    path.write_bytes(b"twice")
    with contextlib.suppress(OSError):
        path.with_name("2").hardlink_to(path)


MAKERS: tuple[Callable[[Path, Path, random.Random], None], ...] = (
    _directory,
    _directory,
    _directory,
    _file,
    _link,
    _link,
    _sparse,
    _fifo,
    _socket,
    _hard_link,
)

MEMBER_NAMES = ("a", "a/b", "a/b/c", "l", "l/x", "../up", "/absolute", "a/../../up", "./a", "", ".", "a//b", "a/" * 300)
MEMBER_TYPES = (
    tarfile.REGTYPE,
    tarfile.DIRTYPE,
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
    tarfile.GNUTYPE_SPARSE,
    tarfile.CONTTYPE,
)


def archive(outside: Path, seed: int) -> bytes:
    """Return an archive that the packer would never write; now and then one that is torn or no archive at all."""
    rng = random.Random(seed)
    written = BytesIO()
    with tarfile.open(fileobj=written, mode="w", format=tarfile.PAX_FORMAT) as packed:
        for _ in range(rng.randint(1, 12)):
            member = tarfile.TarInfo(rng.choice((*MEMBER_NAMES, str(outside / "precious"))))
            member.type = rng.choice(MEMBER_TYPES)
            member.mode = rng.choice((0o644, 0o7777, 0))
            member.linkname = rng.choice(("a", "..", str(outside), f"{outside}/precious", "a/b", "../../../etc", ""))
            content = rng.randbytes(rng.randint(0, 2000))
            member.size = len(content) if member.type == tarfile.REGTYPE else 0
            if rng.random() < 0.1:
                member.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "size": "99999999999"}
            packed.addfile(member, BytesIO(content) if member.size else None)
    data = written.getvalue()
    return rng.choice((data, data, data, data[: rng.randint(0, len(data))], rng.randbytes(700)))
