"""Hooks before and after jobs of a real agent: each attempt that began is ended, whatever dies meanwhile."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.processes import command_line
from tests.support.server import Account
from tests.support.testbed import QUICK, Testbed, make_testbed
from tests.support.waiting import wait_until

#: Notes that it began; the first time it may wait to be killed.
HOOK = """#!/bin/sh
echo "$LAUNCHD_HOOK" >> {notes}
if [ "$LAUNCHD_HOOK" = "{slow}" ] && mkdir {notes}.first 2>/dev/null; then sleep 600; fi
[ "$LAUNCHD_HOOK" != "{failing}" ]
"""


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    return tmp_path / "notes"


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account, max_jobs=1) as opened:
        yield opened


def configure(testbed: Testbed, notes: Path, *, slow: str = "", failing: str = "") -> None:
    program = notes.with_name("hook")
    program.write_text(HOOK.format(notes=notes, slow=slow, failing=failing))
    program.chmod(0o755)
    hooks: dict[str, Any] = {name: [str(program)] for name in ("before", "after")}
    testbed.configure(max_jobs=1, launchd={"hooks": hooks, "supervision": QUICK})


def push(testbed: Testbed, notes: Path) -> str:
    return testbed.push("sh", "-c", 'echo job >> "$1"', "job", str(notes))


def noted(notes: Path) -> list[str]:
    return notes.read_text().split() if notes.exists() else []


def worker_of_a_job(testbed: Testbed) -> psutil.Process:
    (worker,) = [one for one in testbed.processes() if "launchd: worker default" in command_line(one)]
    return worker


def test_hooks_run_around_each_job(testbed: Testbed, notes: Path) -> None:
    configure(testbed, notes)
    testbed.start_agent()
    items = [push(testbed, notes) for _ in range(2)]
    assert {item.state for item in testbed.wait_over(items)} == {"FINISHED"}
    assert noted(notes) == ["before", "job", "after"] * 2


def test_a_job_whose_hook_fails_is_not_started_and_says_why(testbed: Testbed, notes: Path) -> None:
    configure(testbed, notes, failing="before")
    testbed.start_agent()
    (ended,) = testbed.wait_over([push(testbed, notes)])
    assert ended.state == "FAILED"
    assert "The hook before of this host failed, and the job was not started" in (ended.message or "")
    assert "ended with exit code 1" in (ended.message or "")
    assert noted(notes) == ["before", "after"]


@pytest.mark.parametrize(
    ("slow", "ran"),
    [("before", ["before", "after", "before", "job", "after"]), ("after", ["before", "job", "after", "after"])],
)
def test_a_worker_may_be_killed_during_a_hook(testbed: Testbed, notes: Path, slow: str, ran: list[str]) -> None:
    configure(testbed, notes, slow=slow)
    testbed.start_agent()
    item = push(testbed, notes)
    wait_until(lambda: Path(f"{notes}.first").exists(), what="the hook runs")
    worker_of_a_job(testbed).send_signal(signal.SIGKILL)

    assert testbed.wait_over([item])[0].state == "FINISHED"
    assert noted(notes) == ran
    wait_until(lambda: not testbed.processes(), what="nothing is left")


@pytest.mark.parametrize("slow", ["before", "after"])
def test_the_agent_may_be_killed_during_a_hook(testbed: Testbed, notes: Path, slow: str) -> None:
    configure(testbed, notes, slow=slow)
    agent = testbed.start_agent()
    item = push(testbed, notes)
    wait_until(lambda: Path(f"{notes}.first").exists(), what="the hook runs")
    agent.kill()
    testbed.start_agent()

    assert testbed.wait_over([item])[0].state == "FINISHED"
    assert noted(notes).count("job") == 1
    assert noted(notes).count("before") == noted(notes).count("after") - (slow == "after")


def test_a_job_that_is_stopped_has_its_hooks_after_it(testbed: Testbed, notes: Path) -> None:
    configure(testbed, notes)
    testbed.start_agent()
    item = testbed.push("sleep", "600")
    wait_until(lambda: testbed.phase(item) == "running", what="the job runs")
    testbed.ask(command="stop", item=item)
    assert testbed.wait_over([item])[0].state == "STOPPED"
    assert noted(notes) == ["before", "after"]
