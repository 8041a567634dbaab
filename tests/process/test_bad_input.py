"""What people and machines get wrong: each gives one clear sentence to the person concerned, and nothing else stops."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from launchd.agent.control.client import SOCKET_NAME
from launchd.cli.agent import Misconfigured
from launchd.client.errors import Refused
from launchd.client.queue_server import Item
from tests.support.gate import Gate
from tests.support.server import Account, RunningServer, running_server
from tests.support.small_disk import small_disk
from tests.support.testbed import QUEUE, AgentProcess, Testbed, make_testbed
from tests.support.waiting import assert_stays, wait_until

LIMIT_BYTES = 5 * 1024 * 1024


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account, max_jobs=2) as opened:
        yield opened


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    """A queue server that only the test uses, and may kill."""
    with running_server(tmp_path) as running:
        yield running


@pytest.fixture
def forsaken(tmp_path: Path, server: RunningServer) -> Iterator[Testbed]:
    """A testbed at that server."""
    with closing(Testbed(tmp_path, server, max_jobs=2, launchd={})) as opened:
        yield opened


@pytest.fixture(scope="module")
def running_home(tmp_path_factory: pytest.TempPathFactory, queue_server: RunningServer) -> Iterator[Testbed]:
    """A testbed whose agent meets one bad run spec after the other and must outlive them all."""
    with make_testbed(tmp_path_factory.mktemp("testbed"), queue_server.account(), max_jobs=2) as opened:
        opened.start_agent()
        yield opened


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory, queue_server: RunningServer) -> Iterator[Testbed]:
    with make_testbed(tmp_path_factory.mktemp("testbed"), queue_server.account(), max_jobs=2) as opened:
        yield opened


@pytest.fixture
def still_home(one_server: Testbed) -> Testbed:
    """A testbed whose agent will not start; each test gets a new one."""
    one_server.configure(max_jobs=2)
    one_server.agent_log.unlink(missing_ok=True)
    return one_server


def run_to_end(testbed: Testbed, *command: str, **spec: Any) -> Item:
    (ended,) = testbed.wait_over([testbed.push(*command, **spec)], timeout=15.0)
    return ended


def sentence_of(testbed: Testbed, agent: AgentProcess, exit_code: int = 1) -> str:
    """Return what an agent that could not start said; it must be for people."""
    assert agent.wait_gone() == exit_code
    assert "Traceback" not in testbed.log()
    return testbed.log()


# The configuration.


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("max_jobs: 2", "max_jobz: 2", "max_jobs"),
        ("max_jobs: 2", "max_jobs: -7", "max_jobs"),
        ("max_jobs: 2", "max_jobs: many", "max_jobs"),
        ("launchd:", "launchd: []\nlanchd:", "launchd"),
        ("  supervision:", "  jobs: [1, 2]\n  supervision:", "launchd.jobs"),
        ("queues:", "queues: {a: b}\nqueue:", "queues"),
    ],
)
def test_a_wrong_key_or_value_is_named(still_home: Testbed, before: str, after: str, sentence: str) -> None:
    text = still_home.config_path.read_text()
    assert before in text
    still_home.config_path.write_text(text.replace(before, after, 1))
    said = sentence_of(still_home, still_home.start_agent(), Misconfigured.exit_code)
    assert sentence in said
    assert str(still_home.config_path) in said


def test_a_list_for_the_whole_configuration_is_refused(still_home: Testbed) -> None:
    still_home.config_path.write_text("- a\n- b\n")
    assert str(still_home.config_path) in sentence_of(still_home, still_home.start_agent(), Misconfigured.exit_code)


def test_a_configuration_of_five_mebibytes_is_refused_at_once(still_home: Testbed) -> None:
    with still_home.config_path.open("a") as file:
        file.write("# padding\n" * (LIMIT_BYTES // 10))
    assert str(still_home.config_path) in sentence_of(still_home, still_home.start_agent(), Misconfigured.exit_code)


# The queue server.


def test_a_wrong_key_is_said_once(still_home: Testbed) -> None:
    said = sentence_of(still_home, still_home.start_agent(WANDB_API_KEY="x" * 40))
    assert said.count("does not accept the API key") == 1


def test_a_missing_queue_is_named_beside_those_there_are(still_home: Testbed) -> None:
    still_home.configure(max_jobs=1, queues=["nowhere"])
    said = sentence_of(still_home, still_home.start_agent())
    assert f"There is no queue nowhere of entity {still_home.entity}" in said
    assert f"Its queues: {QUEUE}." in said


def test_a_service_waits_for_a_queue_that_is_created_later(testbed: Testbed, tmp_path: Path) -> None:
    testbed.configure(max_jobs=1, queues=["late"])
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        agent = testbed.start_agent(NOTIFY_SOCKET=str(tmp_path / "notify"))
        wait_until(lambda: "There is no queue late" in (testbed.status()["problem"] or ""), what="the problem is shown")
        told = iter(lambda: systemd.recv(4096).decode(), "")
        assert next(text for text in told if "There is no queue late" in text).startswith("STATUS=starting, ")

    testbed.client.create_queue(testbed.entity, "late")
    os.kill(agent.pid, signal.SIGHUP)

    work = {"project": "tests", "resource": "local-process", "overrides": {"entry_point": ["true"]}}
    item = testbed.client.push(testbed.entity, "late", {"entity": testbed.entity, **work})
    assert testbed.wait_over([item])[0].state == "FINISHED"
    assert testbed.log().count("There is no queue late") == 1


def test_a_service_waits_for_a_key_that_is_accepted(testbed: Testbed, tmp_path: Path) -> None:
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        agent = testbed.start_agent(NOTIFY_SOCKET=str(tmp_path / "notify"), WANDB_API_KEY="x" * 40)
        told = iter(lambda: systemd.recv(4096).decode(), "")
        assert next(text for text in told if "API key" in text).startswith("STATUS=starting, ")
    # It stays, and the service manager has nothing to start again.
    assert agent.exit_code() is None
    assert "does not accept the API key" in testbed.status()["problem"]
    assert testbed.log().count("does not accept the API key") == 1


def test_an_agent_waits_for_its_server_and_says_so(forsaken: Testbed, server: RunningServer) -> None:
    server.kill()
    agent = forsaken.start_agent()
    wait_until(lambda: forsaken.status()["server"]["error"], what="the problem is shown")
    status = forsaken.status()
    assert status["agent"]["state"] == "starting"
    assert not status["server"]["reachable"]
    assert "connection refused" in status["server"]["error"]
    server.start()
    assert run_to_end(forsaken, "true").state == "FINISHED"
    assert agent.exit_code() is None
    assert forsaken.status()["server"]["reachable"]


@pytest.mark.parametrize("outage", ["killed", "hung"])
def test_what_happens_in_an_outage_is_told_after_it_once(
    forsaken: Testbed, server: RunningServer, gate: Gate, outage: str
) -> None:
    forsaken.start_agent()
    good = forsaken.push("sh", "-c", gate.wait)
    bad = forsaken.push("sh", "-c", f"{gate.wait}; exit 3")
    wait_until(lambda: forsaken.phase(good) == forsaken.phase(bad) == "running", what="both jobs run")
    if outage == "killed":
        server.kill()
    else:
        os.kill(server.process.pid, signal.SIGSTOP)
    gate.open()
    wait_until(lambda: forsaken.journal_states() == {good: "finished", bad: "failed"}, what="both jobs end")
    assert forsaken.outbox() == 2
    assert forsaken.status()["outbox"]["waiting"] == 2
    if outage == "killed":
        server.start()
    else:
        os.kill(server.process.pid, signal.SIGCONT)
    ended = forsaken.wait_over([good, bad])
    assert [(item.state, item.exit_code) for item in ended] == [("FINISHED", 0), ("FAILED", 3)]
    wait_until(lambda: forsaken.outbox() == 0, what="the outbox is empty")
    told = [line for line in forsaken.log().splitlines() if "A job is over." in line]
    assert [sum(item in line for line in told) for item in (good, bad)] == [1, 1]


# Run specs.


@pytest.mark.parametrize("nulls", [("resource_args",), ("git", "job", "docker", "uri", "author", "name", "run_id")])
def test_nulls_are_nothing(running_home: Testbed, nulls: tuple[str, ...]) -> None:
    assert run_to_end(running_home, "true", **dict.fromkeys(nulls)).state == "FINISHED"


@pytest.mark.parametrize(
    ("spec", "sentence"),
    [
        ({"overrides": {"entry_point": "true"}}, "overrides"),
        ({"overrides": {"args": {"a": 1}}}, "overrides"),
        ({"overrides": {"run_config": [1]}}, "overrides"),
        ({"resource": "kubernetes"}, "The resource kubernetes is not granted on this host"),
        ({"job": "ENTITY/project/job:latest"}, "has no job ENTITY/project/job:latest."),
        ({"overrides": {"entry_point": []}}, "names no image, no job, no repository, no code directory and no command"),
        ({"overrides": {"entry_point": [""]}}, "has no command to run"),
        ({"git": {"repo": "--upload-pack=touch", "version": None}}, "--upload-pack"),
        ({"git": {"repo": "-u", "version": None}}, "-u"),
        ({"git": {"repo": "ext::sh -c true", "version": None}}, "git transport ext is not granted"),
        ({"git": {"repo": "https://127.0.0.1:1/r", "version": "--output=x"}}, "--output=x"),
        ({"uri": "wandb-artifact://_id/no-such-artifact"}, "no-such-artifact"),
        ({"resource": "fake", "resource_args": {"fake": {"preempted": True}}}, "preempted"),
    ],
)
def test_a_run_spec_that_cannot_run_fails_with_a_sentence(
    running_home: Testbed, spec: dict[str, Any], sentence: str
) -> None:
    ended = run_to_end(running_home, "true", **spec)
    assert (ended.state, sentence in (ended.message or "")) == ("FAILED", True), ended.message
    assert "Traceback" not in (ended.message or "")
    assert running_home.status()["agent"]["state"] == "polling"


@pytest.mark.parametrize(("key", "value"), [("git", "text"), ("docker", "text")])
def test_a_wrong_type_fails_the_item_and_nothing_else(running_home: Testbed, key: str, value: object) -> None:
    ended = run_to_end(running_home, "true", **{key: value})
    assert (ended.state, key in (ended.message or "")) == ("FAILED", True), ended.message
    assert run_to_end(running_home, "true").state == "FINISHED"


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("overrides", "text", "an object"),
        ("resource_args", "text", "an object"),
        ("resource", 7, "text"),
        ("run_id", [1], "text"),
    ],
)
def test_a_wrong_type_that_the_server_sees_is_refused_at_the_push(
    running_home: Testbed, key: str, value: object, wanted: str
) -> None:
    spec = {"entity": running_home.entity, "project": "tests", key: value}
    with pytest.raises(Refused, match=f"{key} in the run spec must be {wanted}"):
        running_home.client.push(running_home.entity, QUEUE, spec)


@pytest.mark.parametrize("key", [12345, "x" * 40])
def test_a_key_of_no_account_is_refused_at_the_push(running_home: Testbed, key: object) -> None:
    spec = {"entity": running_home.entity, "project": "tests", "_wandb_api_key": key}
    with pytest.raises(Refused, match="none of yours at this queue server"):
        running_home.client.push(running_home.entity, QUEUE, spec)


def test_an_unknown_git_ref_is_named(running_home: Testbed, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    git = ["git", "-C", str(repository), "-c", "user.name=n", "-c", "user.email=e@example.org"]
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    ended = run_to_end(running_home, "true", git={"repo": str(repository), "version": "no-such-branch"})
    assert ended.state == "FAILED"
    assert "no-such-branch" in (ended.message or "")


def test_what_a_tool_says_is_in_the_workers_log(running_home: Testbed) -> None:
    ended = run_to_end(running_home, "true", git={"repo": "https://127.0.0.1:1/r", "version": None})
    said = (Path(running_home.ask(command="job", item=ended.id)["job"]["directory"]) / "worker.log").read_text()
    assert 'A tool wrote a line. line="fatal: unable to access' in said


def test_a_command_that_does_not_exist_is_named(running_home: Testbed) -> None:
    ended = run_to_end(running_home, "no-such-command", "--flag")
    assert (ended.state, ended.stage) == ("FAILED", "run")
    assert "no-such-command" in (ended.message or "")
    assert "not found" in (ended.message or "")


def test_output_is_kept_byte_for_byte(running_home: Testbed, tmp_path: Path) -> None:
    content = bytes(range(256)) * 64
    source = tmp_path / "bytes"
    source.write_bytes(content)
    ended = run_to_end(running_home, "cat", str(source))
    assert ended.state == "FINISHED"
    assert Path(running_home.job(ended.id)["log_path"]).read_bytes() == content


# The control socket.


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\xff\xfe garbage\n", b"[" * 60_000 + b"\n", b"[]\n", b"{}\n", b'{"command": {"a": []}}\n', b"", b"\n"],
    ids=["bytes", "deep", "list", "empty object", "object as command", "nothing", "newline"],
)
def test_garbage_at_the_control_socket_harms_nobody(running_home: Testbed, garbage: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(8.0)
        client.connect(str(running_home.runtime_dir / SOCKET_NAME))
        client.sendall(garbage)
        client.shutdown(socket.SHUT_WR)
        answer = client.recv(65536)
    assert b'"ok": false' in answer
    assert b'"error": "' in answer
    assert running_home.status()["agent"]["state"] == "polling"


# The disk.


@pytest.mark.root
def test_a_full_disk_stops_claims_and_nothing_else(tmp_path: Path, account: Account, gate: Gate) -> None:
    with make_testbed(tmp_path, account, max_jobs=2) as testbed, small_disk(testbed.state_dir, 8) as disk:
        agent = testbed.start_agent()
        running = testbed.push("sh", "-c", f"{gate.wait}; echo done")
        wait_until(lambda: testbed.phase(running) == "running", what="the job runs")
        fill(disk / "filler")
        gate.open()
        problem = wait_until(lambda: testbed.status()["problem"], 15.0, "the problem is shown")
        assert "Make room on its disk" in problem
        queued = testbed.push("true")
        assert_stays(lambda: testbed.item(queued).state in ("PENDING", "LEASED"), 1.0, "the queued item")
        assert agent.exit_code() is None
        assert "claims no jobs until its journal can be written and has room" in testbed.log()

        (disk / "filler").unlink()
        assert {item.state for item in testbed.wait_over([running, queued], timeout=20.0)} == {"FINISHED"}
        assert testbed.status()["problem"] is None
        testbed.close()


def fill(path: Path) -> None:
    """Write until nothing more fits."""
    with path.open("wb", buffering=0) as file:
        for size in (65536, 4096, 512):
            write_while_it_fits(file.fileno(), bytes(size))


def write_while_it_fits(descriptor: int, block: bytes) -> None:
    try:
        while os.write(descriptor, block):
            pass
    except OSError:
        return


def test_a_job_whose_directory_was_removed_comes_to_its_end(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    item = testbed.push("sh", "-c", gate.wait)
    other = testbed.push("sh", "-c", gate.wait)
    wait_until(lambda: testbed.phase(item) == testbed.phase(other) == "running", what="both jobs run")
    shutil.rmtree(testbed.job(item)["directory"])
    gate.open()
    ended, beside = testbed.wait_over([item, other], timeout=18.0)
    assert ended.state == "FINISHED" or ended.message
    assert beside.state == "FINISHED"
    assert run_to_end(testbed, "true").state == "FINISHED"


def test_a_word_of_the_command_longer_than_a_message_ends_its_job_alone(testbed: Testbed) -> None:
    testbed.start_agent()
    item = testbed.push(f"python3 -c '{'x' * 5000}'")

    [over] = testbed.wait_over([item])

    assert over.state == "FAILED"
    assert "lost its worker" not in testbed.log()
