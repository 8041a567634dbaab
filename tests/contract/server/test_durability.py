"""Acknowledged changes are on disk: the server killed, a full disk, a broken database."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests

from tests.support.artifacts import Logging
from tests.support.runs import ClientRun
from tests.support.server import RefusedByServer, RunningServer, running_server
from tests.support.small_disk import small_disk

sqlite_only = pytest.mark.parametrize("store", ["sqlite"], indirect=True)


@pytest.mark.dialect
def test_every_answer_outlives_a_death(tmp_path: Path) -> None:
    with running_server(tmp_path) as server, server.api() as api:
        agent = api.create_agent(api.create_queue("q"))
        item = api.push("q")
        server.restart()
        assert api.claim(agent, "c1") == [item]
        server.restart()
        assert api.ack(agent, item) == [True]
        server.restart()
        assert api.state(item) == "CLAIMED"
        assert api.report(agent, item, 1, "finished")
        server.restart()
        assert api.state(item) == "FINISHED"


@pytest.fixture
def small(tmp_path: Path) -> Iterator[RunningServer]:
    with running_server(tmp_path) as server:
        yield server


@sqlite_only
def test_a_full_disk_is_answered_503_and_gets_well_again(small: RunningServer) -> None:
    """No file of the server may grow: to SQLite that is what a full disk is."""
    with small.api() as api:
        agent = api.create_agent(api.create_queue("q"))
        before = api.push("q")
        process = psutil.Process(small.process.pid)
        unlimited = process.rlimit(resource.RLIMIT_FSIZE)
        process.rlimit(resource.RLIMIT_FSIZE, (0, unlimited[1]))
        for _ in range(3):
            with pytest.raises(RefusedByServer, match="503: The queue server cannot use its database at present"):
                api.push("q")
        assert api.state(before) == "PENDING", "reading goes on"
        assert requests.get(f"{small.url}/healthz", timeout=10).json() == {"status": "ok"}
        process.rlimit(resource.RLIMIT_FSIZE, unlimited)
        after = api.push("q")
        assert api.claim(agent, "c1", items=5) == [before, after], "nothing of what was refused has been kept"


@sqlite_only
def test_a_second_server_over_the_same_data_does_not_start(small: RunningServer) -> None:
    command = [sys.executable, "-m", "launchd.server", "--data-dir", str(small.data_dir), "--port", "0"]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert second.stderr == f"Error: Another queue server uses the data directory {small.data_dir}.\n"


def test_a_port_that_is_taken_is_named(small: RunningServer, tmp_path: Path) -> None:
    port = small.url.rpartition(":")[2]
    command = [sys.executable, "-m", "launchd.server", "--data-dir", str(tmp_path / "other"), "--port", port]
    second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert second.returncode == 1
    assert second.stderr == f"Error: The queue server cannot listen on 127.0.0.1:{port}: Address already in use.\n"


@sqlite_only
def test_a_database_that_is_none_is_named_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir()
    (tmp_path / "server" / "server.sqlite").write_bytes(b"this is no database " * 100)
    with pytest.raises(RuntimeError, match="cannot be used as a database"), running_server(tmp_path):
        pass


@pytest.mark.root
def test_an_upload_that_fills_the_disk_is_answered_503_and_leaves_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 8) as disk, running_server(disk) as server, server.api() as api:
        run = ClientRun(api)
        logged = Logging(api, {"big": os.urandom(9_000_000), "small": b"small"})
        big, small = (str(node["uploadUrl"]) for node in logged.announce())
        answer = requests.put(big, logged.files["big"], timeout=20)
        assert (answer.status_code, "cannot write to its disk at present" in answer.text) == (503, True)
        assert list((server.data_dir / "files" / "incoming").iterdir()) == []
        assert requests.put(small, logged.files["small"], timeout=20).status_code == 200
        assert run.state == "running"


@sqlite_only
def test_more_connections_than_the_usual_limit_are_taken(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # The tests' own process is under the limit as well, with what earlier tests of it hold open.
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(256, psutil.Process().num_fds() + 64), soft), hard))
    try:
        with running_server(tmp_path) as server:
            assert psutil.Process(server.process.pid).rlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_key_stays_the_same(small: RunningServer) -> None:
    key = small.key
    small.restart()
    assert small.key == key
    with small.api() as api:
        assert api.run("{ viewer { entity } }") == {"viewer": {"entity": "me"}}
