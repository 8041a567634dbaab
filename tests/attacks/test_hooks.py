"""Hooks where each job has a user of its own: root's run as root in `/`, the job's as that user in its directory."""

import json
from pathlib import Path

import psutil
import pytest

from tests.attacks.conftest import POLICY
from tests.support.job_numbers import NUMBERS
from tests.support.testbed import Testbed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.root

#: Notes who it is, where, and whether it has a key of the queue server.
PROGRAM = """#!/bin/sh
read -r told
echo "$LAUNCHD_HOOK $(id -u) $(pwd) key=$WANDB_API_KEY $told" >> {notes}
{more}
"""
NAMES = ("before", "after", "job_before", "job_after")


@pytest.fixture
def notes(open_directory: Path) -> Path:
    path = open_directory / "notes"
    path.touch()
    path.chmod(0o666)
    return path


def configure(host: Testbed, notes: Path, more: str = "", seconds: float = 20.0) -> None:
    program = notes.with_name("hook")
    program.write_text(PROGRAM.format(notes=notes, more=more))
    program.chmod(0o755)
    hooks = {**{name: [str(program)] for name in NAMES}, "timeout_seconds": seconds}
    host.configure(max_jobs=1, launchd={"policy": POLICY, "hooks": hooks})
    host.start_agent()


def noted(notes: Path) -> list[list[str]]:
    """Return name, user, place and key of each hook that ran."""
    return [line.split(" ", 4)[:4] for line in notes.read_text().splitlines()]


def test_each_runs_as_whom_the_documentation_says(host: Testbed, notes: Path) -> None:
    configure(host, notes, '[ "$LAUNCHD_HOOK" != job_before ] || echo prepared > made-before')

    item = host.push("sh", "-c", f'echo "job $(id -u) $(pwd) key= $(cat made-before)" >> {notes}')

    assert host.wait_over([item])[0].state == "FINISHED"
    ran = noted(notes)
    work = str(Path(host.job(item)["log_path"]).parent / "work")
    user = ran[2][1]
    assert user != "0"
    # No key of the agent's, and none of the job's.
    assert ran == [
        ["before", "0", "/", "key="],
        ["job_before", user, work, "key="],
        ["job", user, work, "key="],
        ["job_after", user, work, "key="],
        ["after", "0", "/", "key="],
    ]
    lines = notes.read_text().splitlines()
    assert lines[2].endswith(" prepared")
    told = [json.loads(line.split(" ", 4)[4]) for line in (lines[0], lines[1], lines[3], lines[4])]
    assert [one["user"] for one in told] == [int(user)] * 4
    assert [one.get("outcome") for one in told] == [None, None, "finished", "finished"]


def test_one_of_the_job_that_takes_too_long_fails_it_and_leaves_nothing(host: Testbed, notes: Path) -> None:
    configure(host, notes, '[ "$LAUNCHD_HOOK" != job_before ] || { setsid sleep 600 & sleep 600; }', seconds=1.0)

    item = host.push("sh", "-c", f"echo job >> {notes}")

    (ended,) = host.wait_over([item])
    assert ended.state == "FAILED"
    assert "The hook job_before of this host failed, and the job was not started" in (ended.message or "")
    assert [name for name, *_ in noted(notes)] == ["before", "job_before", "job_after", "after"]
    wait_until(lambda: not processes_of_jobs(), what="nothing of it is left")


def test_one_that_fails_after_the_job_is_a_warning(host: Testbed, notes: Path) -> None:
    configure(host, notes, '[ "$LAUNCHD_HOOK" != job_after ]')

    item = host.push("true")

    (ended,) = host.wait_over([item])
    assert ended.state == "FINISHED"
    (warning,) = ended.warnings
    assert warning.message.startswith("The hook job_after of this host failed: ")
    assert warning.message.endswith("hook ended with exit code 1.")
    assert [name for name, *_ in noted(notes)] == [*("before", "job_before"), *("job_after", "after")]


def processes_of_jobs() -> list[int]:
    """Return the processes of the numbers that jobs here get."""
    return [one.pid for one in psutil.process_iter(["uids"]) if one.info["uids"] and one.info["uids"].real in NUMBERS]
