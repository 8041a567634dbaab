"""Other users of the server's machine: what is in the data directory is not theirs to open, lock or read."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.artifacts import Logging, content
from tests.support.runs import ClientRun
from tests.support.server import RunningServer, running_server

pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def modes_of(server: RunningServer) -> dict[str, int]:
    """Modes of all files, and of the directories made by the server, by their names."""
    found = [path for path in server.data_dir.rglob("*") if not path.name.endswith(".key")]
    return {str(path.relative_to(server.data_dir)): path.stat().st_mode & 0o077 for path in found}


def use(server: RunningServer) -> None:
    with server.api() as api:
        Logging(api, {"a": content()}).log()
        ClientRun(api).upload("a", b"a")


def test_nothing_in_the_data_directory_is_anybody_elses(tmp_path: Path) -> None:
    with umask(0), running_server(tmp_path, empty=True) as server:
        use(server)
        found = modes_of(server)
    assert {"lock", "server.sqlite", "server.sqlite-wal", "server.sqlite-shm"} <= found.keys()
    assert any(name.startswith("files/locks/") for name in found)
    assert set(found.values()) == {0}, found


def test_what_an_earlier_server_left_open_is_closed(tmp_path: Path) -> None:
    with umask(0), running_server(tmp_path, empty=True) as server:
        use(server)
        server.stop()
        for name in ("lock", "server.sqlite"):
            (server.data_dir / name).chmod(0o644)
        server.start()
        use(server)
        found = modes_of(server)
    assert {name: mode for name, mode in found.items() if mode} == {}
