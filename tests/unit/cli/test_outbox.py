"""`launchd outbox`, at a control socket that answers as an agent does."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from click import unstyle

from launchd.agent.control.server import ControlServer
from launchd.agent.events import ControlRequest, EventQueue
from launchd.cli.outbox import outbox_lines
from launchd.cli.terminal import rendered
from tests.unit.cli.conftest import Launchd

WAITING = {"id": 3, "item_id": "d63e3be6", "kind": "outcome", "created_seconds": 65.0, "summary": "finished"}
DEAD = {
    "id": 2,
    "item_id": "0a1b2c3d",
    "kind": "outcome",
    "created_seconds": 90.0,
    "refused_seconds": 7.0,
    "summary": "failed: the command ended\nwith exit code 3, for some reason or other",
    "reason": "The item has ended already, as FINISHED.",
}


class Agent:
    """The answers of an agent with one row of each kind, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.dead = [DEAD]

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self.asked.append(request)
        if request["command"] == "outbox":
            return {"ok": True, "waiting": [WAITING], "dead": self.dead}
        ids = request["ids"]
        done = {"retry": "retried", "drop": "dropped"}[request["command"]]
        return {"ok": True, done: sum(ids is None or row["id"] in ids for row in self.dead)}


@pytest.fixture
def agent() -> Agent:
    return Agent()


@pytest.fixture
def configured(agent: Agent, launchd: Launchd, tmp_path: Path) -> Iterator[Launchd]:
    """The command line with the configuration of the agent; a socket's path must be short."""
    events, ended = EventQueue(), threading.Event()
    with TemporaryDirectory(prefix="launchd-run-") as directory:
        server = ControlServer(Path(directory), events)
        server.open()
        config = tmp_path / "launch-config.yaml"
        config.write_text(f"queue: a\nlaunchd: {{state_dir: {tmp_path}, runtime_dir: {directory}}}\n")

        def answer_for_ever() -> None:
            while not ended.wait(0.01):
                for event in events.take_all():
                    assert isinstance(event, ControlRequest)
                    event.reply.put(agent.answer(event.request))

        thread = threading.Thread(target=answer_for_ever)
        thread.start()
        yield lambda *arguments: launchd(*arguments, "-c", str(config))
        ended.set()
        thread.join()
        server.close()


def test_rows_that_wait_and_rows_that_are_not_taken(configured: Launchd) -> None:
    answer = configured("outbox", "list")
    assert answer.exit_code == 0
    assert [line.split() for line in answer.output.splitlines() if line] == [
        ["Waiting", "for", "the", "queue", "server"],
        ["ID", "ITEM", "KIND", "AGE", "SAYS"],
        ["3", "d63e3be6", "outcome", "1m05s", "finished"],
        ["Not", "taken", "by", "the", "queue", "server"],
        ["ID", "ITEM", "KIND", "AGO", "SAYS", "REASON"],
        [
            *("2", "0a1b2c3d", "outcome", "7s", "failed:", "the", "command", "ended", "with", "exit", "c..."),
            *DEAD["reason"].split(),  # type: ignore[attr-defined]
        ],
    ]


def test_all_of_each_text_is_in_the_json(configured: Launchd) -> None:
    assert json.loads(configured("outbox", "list", "--json").output) == {"waiting": [WAITING], "dead": [DEAD]}


@pytest.mark.parametrize(
    ("arguments", "ids", "said"),
    [(("2",), [2], "1 row is sent again."), (("--all",), None, "1 row is sent again.")],
)
def test_rows_are_sent_again(
    configured: Launchd, agent: Agent, arguments: tuple[str, ...], ids: list[int] | None, said: str
) -> None:
    answer = configured("outbox", "retry", *arguments)
    assert (answer.exit_code, answer.output) == (0, f"{said} See the outcome with: launchd outbox\n")
    assert agent.asked == [{"command": "retry", "ids": ids}]


@pytest.mark.parametrize(("arguments", "ids"), [(("2",), [2]), (("--all",), None)])
def test_rows_are_dropped(configured: Launchd, agent: Agent, arguments: tuple[str, ...], ids: list[int] | None) -> None:
    answer = configured("outbox", "drop", *arguments)
    assert (answer.exit_code, answer.output) == (0, "1 row is dropped.\n")
    assert agent.asked == [{"command": "drop", "ids": ids}]


@pytest.mark.parametrize(("command", "done"), [("retry", "sent again"), ("drop", "dropped")])
def test_a_row_that_is_not_there_is_an_error(configured: Launchd, command: str, done: str) -> None:
    answer = configured("outbox", command, "2", "9")
    assert answer.exit_code == 1
    assert answer.stderr == (
        f"Error: 1 row is {done}. The others are not among what the server does not take: see launchd outbox\n"
    )


@pytest.mark.parametrize("command", ["retry", "drop"])
@pytest.mark.parametrize("arguments", [(), ("2", "--all")])
def test_rows_are_named_in_one_way(configured: Launchd, agent: Agent, command: str, arguments: tuple[str, ...]) -> None:
    answer = configured("outbox", command, *arguments)
    assert answer.exit_code == 2
    assert "Name the rows by their IDs, or give --all." in answer.stderr
    assert agent.asked == []


def test_without_a_command_it_is_the_list(launchd: Launchd) -> None:
    assert launchd("outbox").stderr.startswith("Error: No agent runs here ")


def test_an_empty_outbox_and_a_narrow_terminal() -> None:
    assert outbox_lines([], [], 80) == ["The queue server has been told everything."]
    assert max(len(unstyle(rendered(line))) for line in outbox_lines([], [DEAD], 80)) <= 100
