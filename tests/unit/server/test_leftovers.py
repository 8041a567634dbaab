"""Contents of run files that nobody needs are removed; all others stay."""

import asyncio
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from launchd.server.artifacts.contents import ContentStore
from launchd.server.runs.leftovers import Leftovers
from launchd.server.store import accounts, run_files, runs
from launchd.server.store.database import Database

HOUR = 3600.0


@pytest.fixture
def contents(tmp_path: Path) -> ContentStore:
    return ContentStore(tmp_path / "run-files", 1000)


def receive(contents: ContentStore, data: bytes, age: float) -> str:
    async def chunks() -> AsyncIterator[bytes]:
        yield data

    sha256 = asyncio.run(contents.receive(chunks(), None)).sha256
    os.utime(contents.path(sha256), (time.time() - age,) * 2)
    return sha256


def keep(database: Database, content: str) -> None:
    def work(connection: Connection) -> None:
        accounts.create_user(connection, "me", "me@example.org", admin=True)
        run_id = runs.insert_run(connection, 1, "run", {"state": "running"})
        (file,) = run_files.announce(connection, run_id, ["a"])
        assert run_files.arrived(connection, file.id, content, "", 1)

    asyncio.run(database.write(work))


def test_only_what_is_old_and_of_no_file_is_removed(database: Database, contents: ContentStore, tmp_path: Path) -> None:
    needed, young, left = (receive(contents, data, age) for data, age in ((b"n", 9e9), (b"y", 10), (b"l", 2 * HOUR)))
    keep(database, needed)
    leftovers = Leftovers(database, tmp_path / "run-files", HOUR)
    assert asyncio.run(leftovers.remove()) == 1
    assert [contents.path(sha256).exists() for sha256 in (needed, young, left)] == [True, True, False]


def test_what_comes_again_at_that_moment_stays(database: Database, contents: ContentStore, tmp_path: Path) -> None:
    left = receive(contents, b"l", 2 * HOUR)
    leftovers = Leftovers(database, tmp_path / "run-files", HOUR)
    # It was seen as old; the same content arrives before it is moved away.
    receive(contents, b"l", 0)
    assert not leftovers.discard(left, time.time() - HOUR)
    assert contents.path(left).read_bytes() == b"l"
