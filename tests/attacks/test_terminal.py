"""Names, reasons and messages that are meant for the operator's terminal: each command shows them, and none is obeyed.

A queue server, and an agent, answer each request with such texts wherever their answers hold a text.
"""

import ast
import io
import json
import logging
import os
import re
import socket
import socketserver
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click.testing import CliRunner, Result
from graphql import (
    GraphQLEnumType,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    build_schema,
    get_nullable_type,
    graphql_sync,
    print_schema,
)

from ipc.job_files import OUTPUT_FILE, WORKER_LOG_FILE
from ipc.log_lines import TextFormatter
from launchd.agent.control.server import ControlServer
from launchd.agent.events import ControlRequest, EventQueue
from launchd.agent.job_history import HistoryEntry
from launchd.agent.journal import JOURNAL_FILE, Journal
from launchd.cli import COMMANDS, main
from launchd.daemon.systemd import SystemdNotifier
from tests.support.field_args import SCHEMA
from tests.support.http_servers import LocalServer, QuietHandler, serving

ROOT = Path(__file__).parents[2]

#: Clears the screen, sets the title, hides text, turns lines around, begins a line of its own.
HOSTILE = "x\x1b[2J\x1b]0;owned\x07\x1b[45m\x9b8m\u202egnp\u2066\u200b\r\nError: send your key\x7f\b"

#: The colours of this program's own.
_OWN_COLOURS = re.compile(r"\x1b\[(?:0|1|3[1-3]|90)m")

#: What a terminal obeys, or nobody sees; line breaks are the program's own.
_OBEYED = ("Cc", "Cf", "Cs", "Zl", "Zp")

#: The schema of the queue server without its resolvers.
_SCHEMA = build_schema(print_schema(SCHEMA))

#: Words that a client goes by: `launchd launch` waits for an end, and a list of service accounts has these alone.
_WORDS = {"state": "FAILED", "accountType": "SERVICE"}

_PLAIN: dict[str, Any] = {"Int": 3, "Int64": 3, "LeaseNumber": 3, "Duration": 3, "Float": 0.5, "Boolean": False}


def assert_nothing_is_obeyed(text: str) -> None:
    left = _OWN_COLOURS.sub("", text).replace("\n", "")
    assert [character for character in left if unicodedata.category(character) in _OBEYED] == []
    # No line of another's making looks like one of the program's.
    assert not re.search(r"^Error: send your key", text, re.MULTILINE)


# -- a queue server


def _hostile_value(kind: GraphQLOutputType, name: str) -> Any:
    kind = get_nullable_type(kind)
    if isinstance(kind, GraphQLList):
        return [_hostile_value(kind.of_type, name)]
    if isinstance(kind, GraphQLObjectType):
        return {}
    if isinstance(kind, GraphQLEnumType):
        return next(iter(kind.values))
    scalar = str(kind)
    if scalar == "DateTime":
        return datetime.now(UTC).isoformat()
    if scalar in ("JSON", "JSONString"):
        value = {"resource_args": {HOSTILE: HOSTILE}}
        return value if scalar == "JSON" else json.dumps(value)
    return _PLAIN.get(scalar, _WORDS.get(name, HOSTILE))


def _resolve(_source: object, info: GraphQLResolveInfo, **_arguments: object) -> Any:
    return _hostile_value(info.return_type, info.field_name)


def _answers(request: Mapping[str, Any]) -> bytes:
    done = graphql_sync(
        _SCHEMA,
        request["query"],
        variable_values=request.get("variables"),
        field_resolver=_resolve,
        type_resolver=lambda _value, info, abstract: info.schema.get_possible_types(abstract)[-1].name,
    )
    return json.dumps(done.formatted).encode()


def _refusals(_request: Mapping[str, Any]) -> bytes:
    return json.dumps({"data": None, "errors": [{"message": HOSTILE, "extensions": {"code": HOSTILE}}]}).encode()


def _nonsense(_request: Mapping[str, Any]) -> bytes:
    return HOSTILE.encode()


class HostileServer(LocalServer):
    """A queue server with an answer to every operation."""

    def __init__(self, answer: Callable[[Mapping[str, Any]], bytes], status: int = 200) -> None:
        super().__init__(_Handler)
        self.answer, self.status = answer, status


class _Handler(QuietHandler):
    server: HostileServer

    def do_POST(self) -> None:  # noqa: N802 - the name in the standard library
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(self.server.status, self.server.answer(json.loads(body)), {"Content-Type": "application/json"})

    def do_GET(self) -> None:  # noqa: N802 - the name in the standard library
        self.answer(404, HOSTILE.encode())


@pytest.fixture(scope="module", params=["answers", "refusals", "nonsense", "denials"])
def hostile_server(request: pytest.FixtureRequest) -> Iterator[HostileServer]:
    made = {
        "answers": lambda: HostileServer(_answers),
        "refusals": lambda: HostileServer(_refusals),
        "nonsense": lambda: HostileServer(_nonsense),
        "denials": lambda: HostileServer(_refusals, 403),
    }
    with serving(made[request.param]()) as server:
        yield server


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    # Below pytest's directory the control socket of an ordinary user's agent would have too long a path.
    with TemporaryDirectory(prefix="launchd-home-") as home, monkeypatch.context() as patch:
        patch.setenv("HOME", home)
        patch.chdir(home)
        Path("code").mkdir()
        Path("code/main.py").write_text("print(1)")
        yield


def run(*arguments: str, **environ: str) -> Result:
    """Run a command as in a terminal with colours, and a key on standard input."""
    return CliRunner().invoke(main, arguments, input="key\n", env=environ, prog_name="launchd", color=True)


#: Commands that ask the queue server; those marked True show what it answers, the others say that something was done.
AT_SERVER = {
    ("agents",): True,
    ("queue", "list"): True,
    ("queue", "show", "default"): True,
    ("queue", "create", "new"): False,
    ("queue", "delete", "default", "--yes"): False,
    ("queue", "pause", "default"): False,
    ("queue", "resume", "default"): False,
    ("queue", "move", "item", "default"): True,
    ("queue", "priority", "item", "high"): True,
    ("whoami",): True,
    ("login", "--host", "URL"): True,
    ("key", "create"): True,
    ("key", "list"): True,
    ("key", "revoke", "3"): False,
    ("user", "create", "ada"): True,
    ("user", "list"): True,
    ("user", "delete", "ada", "--yes"): False,
    ("team", "delete", "vision", "--yes"): False,
    ("service-account", "delete", "vision", "robot", "--yes"): False,
    ("job", "delete", "me/demo/train", "--yes"): False,
    ("team", "create", "vision"): False,
    ("team", "list"): True,
    ("team", "show", "vision"): True,
    ("team", "add", "vision", "ada"): False,
    ("team", "remove", "vision", "ada"): False,
    ("service-account", "create", "vision", "robot"): True,
    ("service-account", "list", "vision"): True,
    ("job", "create", "image", "image:1"): False,
    ("job", "create", "code", "code"): False,
    ("job", "list"): True,
    ("job", "describe", "me/demo/train:v1"): False,
    ("runs",): True,
    ("runs", "--project", "demo", "--metric", "loss"): True,
    ("run", "show", "me/demo/x"): True,
    ("run", "show", "me/demo/x", "--metric", "loss"): False,
    ("gc",): False,
    ("retention",): True,
    ("launch", "--async", "--", "true"): True,
    ("launch", "code"): False,
    ("launch", "--", "true"): True,
    ("stop", "item"): True,
    ("why", "item"): True,
    ("show", "item"): True,
    ("retry", "item"): False,
}


@pytest.mark.parametrize("arguments", AT_SERVER, ids=" ".join)
def test_a_queue_server_writes_nothing_but_text(hostile_server: HostileServer, arguments: tuple[str, ...]) -> None:
    words = [hostile_server.url if word == "URL" else word for word in arguments]
    done = run(*words, WANDB_BASE_URL=hostile_server.url, WANDB_API_KEY="key")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert_nothing_is_obeyed(done.output)
    assert_nothing_is_obeyed(done.stderr)
    if AT_SERVER[arguments] and hostile_server.answer is _answers:
        assert r"\x1b[2J" in done.output, "the command does not show what it is told, and tries nothing here"


# -- an agent


def _hostile_job() -> dict[str, Any]:
    texts = dict.fromkeys(
        ("item_id", "queue", "run_id", "project", "name", "phase", "status", "message", "stop_reason"), HOSTILE
    )
    return texts | {"age_seconds": 1.0, "phase_seconds": 1.0, "attempt": 2, "exit_code": 1, "directory": "."}


def _hostile_status() -> dict[str, Any]:
    agent = dict.fromkeys(("id", "name", "hostname", "state", "entity"), HOSTILE)
    row = {"id": 1, "item_id": HOSTILE, "kind": HOSTILE, "created_seconds": 1.0, "summary": HOSTILE}
    gpu = dict.fromkeys(("label", "name", "uuid", "item_id", "hindrance", "set_aside"), HOSTILE)
    metric = {"name": "launchd_agent_jobs", "kind": "gauge", "help": HOSTILE, "labels": ["queue"]}
    gpu |= {"memory": 1, "utilisation": 1.0, "memory_used": 1}
    return {
        "ok": True,
        "status": {
            "agent": agent | {"pid": 1, "started_at": 0.0, "queues": [HOSTILE], "max_jobs": 1},
            "server": {"url": HOSTILE, "reachable": False, "last_contact_seconds": 1.0, "error": HOSTILE},
            "outbox": {"waiting": 1, "oldest_seconds": 1.0, "dead": 1},
            "problem": HOSTILE,
            "unreadable_jobs": [HOSTILE],
            "gpus": {"managed": True, "known": False, "why": HOSTILE, "gpus": [gpu], "waiting": 1},
            "jobs": [_hostile_job()],
            "recent": [_hostile_job()],
        },
        "metrics": [{"metric": metric, "samples": [{"labels": [HOSTILE], "value": 1.0}]}],
        "waiting": [row],
        "dead": [row | {"refused_seconds": 1.0, "reason": HOSTILE}],
        "job": _hostile_job(),
        "item": HOSTILE,
        "warning": HOSTILE,
        "jobs": 1,
        "retried": 1,
        "returned": [HOSTILE],
    }


@contextmanager
def answering_agent(answer: dict[str, Any]) -> Iterator[str]:
    """Run an agent with this one answer; yields the path of its configuration."""
    events, ended = EventQueue(), threading.Event()
    with TemporaryDirectory(prefix="launchd-run-") as directory:
        server = ControlServer(Path(directory), events)
        server.open()
        config = Path(directory, "launch-config.yaml")
        config.write_text(f"queue: a\nlaunchd: {{state_dir: {directory}, runtime_dir: {directory}}}\n")

        def answer_requests() -> None:
            while not ended.wait(0.01):
                for event in events.take_all():
                    assert isinstance(event, ControlRequest)
                    event.reply.put(answer)

        thread = threading.Thread(target=answer_requests)
        thread.start()
        try:
            yield str(config)
        finally:
            ended.set()
            thread.join()
            server.close()


AT_AGENT = {
    ("status",): True,
    ("status", "--json"): False,
    ("metrics",): True,
    ("outbox", "list"): True,
    ("outbox", "list", "--json"): False,
    ("outbox", "retry", "1"): False,
    ("gpus", "list"): True,
    ("gpus", "list", "--json"): False,
    ("gpus", "return", "0"): True,
    ("stop", "item"): True,
    ("why", "item"): True,
    ("logs", "item"): True,
    ("logs", "--worker", "item"): True,
    ("drain",): False,
    ("undrain",): False,
    ("detach",): False,
    ("reload",): False,
}


@pytest.mark.parametrize("arguments", AT_AGENT, ids=" ".join)
@pytest.mark.parametrize("answer", [_hostile_status(), {"ok": False, "error": HOSTILE}], ids=["answer", "refusal"])
def test_an_agent_writes_nothing_but_text(answer: dict[str, Any], arguments: tuple[str, ...]) -> None:
    with answering_agent(answer) as config:
        done = run(*arguments, "-c", config, WANDB_BASE_URL="http://127.0.0.1:9", WANDB_API_KEY="key")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert_nothing_is_obeyed(done.output)
    if AT_AGENT[arguments] and answer["ok"]:
        assert r"\x1b[2J" in done.output, "the command does not show what it is told, and tries nothing here"


# -- a container engine


class HostileEngine(socketserver.ThreadingUnixStreamServer):
    """A container engine of which each text is hostile; with a ``status`` above 400 it refuses all but its version."""

    daemon_threads = True
    status = 200


class _EngineHandler(QuietHandler):
    server: HostileEngine
    # There is no such thing at a unix socket.
    disable_nagle_algorithm = False

    def do_GET(self) -> None:  # noqa: N802 - the name in the standard library
        container = {"Id": HOSTILE, "ImageID": HOSTILE, "State": HOSTILE}
        labels = {"launchd.name": HOSTILE, "launchd.item": HOSTILE}
        answers: dict[str, Any] = {
            "version": {"ApiVersion": "1.41"},
            "containers/json": [container | {"Labels": labels}],
            "images/json": [],
            "info": {"DockerRootDir": HOSTILE, "ServerVersion": HOSTILE, "CgroupDriver": HOSTILE},
        }
        path = self.path.partition("?")[0]
        found = next((answer for end, answer in answers.items() if path.endswith(f"/{end}")), {})
        refused = self.server.status if path != "/version" else 200
        self.answer(refused, json.dumps(found if refused == 200 else {"message": HOSTILE}).encode())

    def do_DELETE(self) -> None:  # noqa: N802
        self.answer(409, json.dumps({"message": HOSTILE}).encode())


@contextmanager
def hostile_engine(status: int = 200) -> Iterator[str]:
    """Run an engine; yields the path of a configuration of an agent that uses it."""
    config, engine = Path("launch-config.yaml"), HostileEngine("engine.sock", _EngineHandler)
    engine.status = status
    config.write_text(
        f"queue: a\nlaunchd: {{state_dir: {Path.cwd()}, docker: {{host: 'unix://{Path.cwd()}/engine.sock'}},"
        " policy: {allow_root_jobs: true, resources: [local-container]}}\n"
    )
    serves = threading.Thread(target=engine.serve_forever, kwargs={"poll_interval": 0.02})
    serves.start()
    try:
        yield str(config)
    finally:
        engine.shutdown()
        serves.join()
        engine.server_close()


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("arguments", [(), ("--dry-run",), ("--unused",), ("--json",)], ids=" ".join)
def test_a_container_engine_writes_nothing_but_text(arguments: tuple[str, ...], status: int) -> None:
    with hostile_engine(status) as config:
        done = run("clean", *arguments, "-c", config)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert_nothing_is_obeyed(done.output)
    assert_nothing_is_obeyed(done.stderr)
    # Escaped as in a text, or as in JSON.
    assert re.search(r"\\(x|u00)1b\[2J", done.output), (
        "the command does not show what it is told, and tries nothing here"
    )


def test_what_is_examined_writes_nothing_but_text() -> None:
    """In a process of its own, for the doctor forks."""
    command = [sys.executable, "-P", "-m", "launchd", "doctor", "-v", "-c"]
    with hostile_engine() as config, serving(HostileServer(_answers)) as server:
        access = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": "key"}
        done = subprocess.run(
            [*command, config], capture_output=True, text=True, check=False, env={**os.environ, **access}
        )
    assert done.stderr == ""
    assert_nothing_is_obeyed(done.stdout)
    for check in ("queue server", "queues", "container engine"):
        assert re.search(rf"{check}: .*x1b\[2J", done.stdout), f"nothing is tried of {check}"


# -- a configuration


@pytest.mark.parametrize("arguments", [("check",), ("check", "--json"), ("show",), ("show", "--json")], ids=" ".join)
@pytest.mark.parametrize("key", ["entity", HOSTILE])
def test_a_configuration_writes_nothing_but_text(key: str, arguments: tuple[str, ...]) -> None:
    Path("launch-config.yaml").write_text(json.dumps({"queues": [HOSTILE], key: HOSTILE}))
    done = run("config", *arguments, "-c", "launch-config.yaml")
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert_nothing_is_obeyed(done.output)
    assert_nothing_is_obeyed(done.stderr)


# -- what ran


@pytest.mark.parametrize("arguments", [(), ("--by", "user"), ("--csv",), ("--json",)], ids=" ".join)
def test_what_ran_writes_nothing_but_text(arguments: tuple[str, ...]) -> None:
    entry = HistoryEntry(HOSTILE, HOSTILE, HOSTILE, 1.0, 1.0, project=HOSTILE, name=HOSTILE, user=HOSTILE, why=HOSTILE)
    Path("launch-config.yaml").write_text(f"queue: a\nlaunchd: {{state_dir: {Path.cwd()}}}\n")
    with closing(Journal(Path(JOURNAL_FILE))) as journal:
        journal.add_to_history(entry)
        journal.commit()
    done = run("history", *arguments, "-c", "launch-config.yaml")
    assert done.exception is None, done.output
    assert_nothing_is_obeyed(done.output)
    assert ("--json" in arguments) or r"\x1b[2J" in done.output


# -- a backup


@pytest.mark.parametrize("command", ["backup", "restore"])
def test_the_name_of_a_directory_is_text(command: str) -> None:
    done = run(command, "--data-dir", HOSTILE, HOSTILE)
    assert done.exit_code == 1
    assert_nothing_is_obeyed(done.stderr)
    assert r"\x1b[2J" in done.stderr


# -- logs


def test_the_log_of_a_worker_is_made_visible_and_a_jobs_output_is_not_changed() -> None:
    Path(OUTPUT_FILE).write_bytes(HOSTILE.encode() + b"\xff")
    # A character that falls apart between two pieces, and what is no text at all.
    Path(WORKER_LOG_FILE).write_bytes(b"a" * (64 * 1024 - 1) + "ü\n".encode() + HOSTILE.encode() + b"\n\xff\n")
    with answering_agent(_hostile_status() | {"job": _hostile_job() | {"phase": "finished"}}) as config:
        output = run("logs", "item", "-c", config).stdout_bytes
        log = run("logs", "--worker", "item", "-c", config).stdout
    assert output == HOSTILE.encode() + b"\xff"
    assert log.splitlines()[0] == "a" * (64 * 1024 - 1) + "ü"
    assert log.endswith("\n\\xff\n")
    assert all(character == "\n" or unicodedata.category(character) not in _OBEYED for character in log)


def test_an_agents_log_is_text() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter())
    log = logging.Logger("launchd")  # noqa: LOG001 - one that no other test sees
    log.addHandler(handler)
    try:
        raise RuntimeError(HOSTILE)
    except RuntimeError:
        log.exception("Something failed: %s", HOSTILE, extra={"why": HOSTILE, "values": [HOSTILE]})
    # A traceback has lines of its own.
    assert_nothing_is_obeyed(stream.getvalue().replace("\nError: send your key", ""))
    assert r"\x1b[2J" in stream.getvalue().splitlines()[0]


def test_a_reason_does_not_tell_systemd_anything_else() -> None:
    with TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"{directory}/notify")
        SystemdNotifier({"NOTIFY_SOCKET": f"{directory}/notify"}).status("polling; refused\nSTOPPING=1\x1b[2J")
        assert systemd.recv(4096) == rb"STATUS=polling; refused\nSTOPPING=1\x1b[2J"


def test_every_command_is_tried() -> None:
    # "up", "agent", "server" and "help" print nothing of others but the errors that all commands have.
    tried = {words[0] for words in (*AT_SERVER, *AT_AGENT)} | {
        "clean",
        "config",
        "doctor",
        "history",
        "backup",
        "restore",
    }
    assert tried == COMMANDS.keys() - {"up", "agent", "server", "help"}


_PRINTING = ("click.echo", "click.secho", "click.style", "print")


def test_nothing_is_printed_past_the_one_place() -> None:
    found = [
        f"{path.name}:{node.lineno}"
        for path in sorted((ROOT / "launchd/cli").glob("*.py"))
        if path.name != "terminal.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("click.echo", "click.secho", "click.style", "print")
    ]
    assert found == []
