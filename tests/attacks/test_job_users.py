"""Jobs are strangers to each other: what one has, no other can read, trace or end."""

import os
import shlex
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from tests.support.gate import Gate
from tests.support.job_numbers import NUMBERS, first_numbers
from tests.support.testbed import Testbed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.root


@pytest.fixture
def gate(open_directory: Path) -> Iterator[Gate]:
    """Jobs of any user wait at it until the test opens it, or is over."""
    gate = Gate(open_directory / "gate")
    (open_directory / "gate").chmod(0o644)
    yield gate
    gate.open()


def word(host: Testbed, item: str) -> str:
    """Return the first line of the job's output, once there is one."""

    def first_line() -> str | None:
        log = host.phase(item) and host.job(item)["log_path"]
        text = Path(log).read_text() if log and Path(log).exists() else ""
        return text.partition("\n")[0] if "\n" in text else None

    return str(wait_until(first_line, what="the job's first line"))


def test_each_job_has_a_user_of_its_own(host: Testbed, gate: Gate) -> None:
    host.start_agent()
    items = [host.push("sh", "-c", f"echo $(id -u) $(id -g) $(id -G); {gate.wait}") for _ in range(3)]

    users = [word(host, item).split() for item in items]
    gate.open()
    host.wait_over(items)

    assert len({uid for uid, _, _ in users}) == 3
    assert all(uid == gid == groups and int(uid) in NUMBERS for uid, gid, groups in users)


def test_a_job_can_neither_read_nor_end_another(host: Testbed, gate: Gate) -> None:
    host.start_agent()
    victim = host.push("sh", "-c", f"echo $$; echo secret > mine; touch ready; {gate.wait}")
    pid = word(host, victim)
    directory = Path(host.job(victim)["log_path"]).parent
    attempts = (
        f"kill -9 {pid}",
        f"cat /proc/{pid}/environ",
        f"cat /proc/{pid}/maps",
        f"ls /proc/{pid}/cwd/",
        f"ls /proc/{pid}/fd",
        f"cat {directory}/work/mine",
        f"ls {directory}",
        f"cat {directory}/job.json",
        f"cat {directory}/output.log",
        f"touch {directory}/work/there",
        f"python3 -c 'import ctypes; l = ctypes.CDLL(None); exit(0 if l.ptrace(16, {pid}, 0, 0) == 0 else 1)'",
    )
    script = "; ".join(f"{{ {tried}; }} >/dev/null 2>&1 && echo worked: {shlex.quote(tried)}" for tried in attempts)
    attacker = host.push("sh", "-c", f"{script}; echo tried")

    host.wait_over([attacker])
    assert host.output(attacker) == "tried\n"

    gate.open()
    [over] = host.wait_over([victim])
    assert over.state == "FINISHED"


def test_two_living_jobs_never_have_one_number_also_after_a_death_of_the_agent(host: Testbed, gate: Gate) -> None:
    host.start_agent()
    before = host.push("sh", "-c", f"id -u; {gate.wait}")
    first = word(host, before)
    assert host.agent is not None
    host.agent.kill()

    host.start_agent()
    after = host.push("sh", "-c", f"id -u; {gate.wait}")
    second = word(host, after)
    gate.open()
    host.wait_over([before, after])

    assert first != second


def test_what_the_journal_has_forgotten_is_seen_on_the_disk_and_in_the_processes(host: Testbed, gate: Gate) -> None:
    host.start_agent()
    item = host.push("sh", "-c", f"id -u; {gate.wait}")
    first = word(host, item)
    assert host.agent is not None
    host.agent.kill()
    # As after the restoration of an older journal.
    with closing(sqlite3.connect(host.state_dir / "journal.sqlite")) as journal, journal:
        journal.execute("UPDATE jobs SET record = json_remove(record, '$.user', '$.fetch_user')")

    host.start_agent()
    again = host.push("sh", "-c", "id -u")
    [over] = host.wait_over([again])
    gate.open()
    host.wait_over([item])

    assert over.state == "FINISHED"
    assert host.output(again).strip() != first


def test_nothing_of_a_jobs_user_outlives_the_job(host: Testbed) -> None:
    # Out of the session, the parent, the environment and the directory: what a shim could know it by.
    away = "cd / && exec env -i setsid sh -c '(sleep 300 >/dev/null 2>&1 &)' >/dev/null 2>&1"
    host.start_agent()

    item = host.push("sh", "-c", f"id -u; ({away}) & sleep 1")

    host.wait_over([item])
    number = int(host.output(item))
    assert [process.pid for process in psutil.process_iter() if number in process.uids()] == []


def test_a_number_comes_again_only_when_its_files_and_processes_are_gone(host: Testbed) -> None:
    # Four slots and one that ended: ten numbers, of which each job takes two.
    policy = {"resources": ["local-process"], "run_as_users": first_numbers(12), "allow_venv": False}
    host.configure(max_jobs=4, launchd={"policy": policy})
    host.start_agent()
    script = "setsid sleep 300 >/dev/null 2>&1 & mkdir -p deep/er; touch deep/er/file; chmod 0 deep; id -u"

    items = [host.push("sh", "-c", script) for _ in range(9)]
    overs = host.wait_over(items, timeout=120.0)

    assert [over.state for over in overs] == ["FINISHED"] * 9
    left = list((host.state_dir / "removed").glob("*/*"))
    wait_until(lambda: not [path for path in left if path.exists()], what="what was moved away is gone")
    used = [owner_of_work(path) for path in (host.state_dir / "jobs").iterdir()]
    assert len(used) == len(set(used))


def owner_of_work(job: Path) -> int:
    return (job / "work").stat().st_uid


def test_a_job_of_the_agents_own_user_is_refused_unless_the_configuration_says_so(host: Testbed) -> None:
    host.configure(max_jobs=1, launchd={"policy": {"resources": ["local-process"], "allow_root_jobs": False}})

    agent = host.start_agent()

    assert agent.wait_gone() == 78
    assert "this agent runs as root" in host.log()
    assert "launchd.policy.run_as_users" in host.log()


def test_a_reload_cannot_make_jobs_root(host: Testbed) -> None:
    agent = host.start_agent()
    host.configure(max_jobs=1, launchd={"policy": {"resources": ["local-process"], "allow_root_jobs": False}})

    os.kill(agent.pid, signal.SIGHUP)

    wait_until(lambda: "the old one stays in force" in host.log(), what="the refusal")
    item = host.push("sh", "-c", "id -u")
    host.wait_over([item])
    assert int(host.output(item)) in NUMBERS


def test_a_limit_of_disk_counts_all_directories_of_a_job(host: Testbed) -> None:
    host.start_agent()
    limit = {"local-process": {"disk": "3 MiB"}}
    script = 'for where in . "$HOME" "$TMPDIR"; do head -c 2000000 /dev/zero > "$where/file"; done; sleep 300'

    [over] = host.wait_over([host.push("sh", "-c", script, resource_args=limit)])

    assert over.state == "FAILED"
    assert "takes more than its limit of 3 MiB of disk" in (over.message or "")


@pytest.mark.long
@pytest.mark.timeout(180)
def test_a_job_that_ends_what_measures_it_is_ended(host: Testbed) -> None:
    host.start_agent()
    script = """
import os, signal, time
while True:
    try:
        # Every process of its user but itself.
        os.kill(-1, signal.SIGKILL)
    except OSError:
        time.sleep(0.001)
"""

    item = host.push("python3", "-c", script, resource_args={"local-process": {"disk": "3 MiB"}})
    [over] = host.wait_over([item], timeout=120)

    assert over.state == "FAILED"
    assert "could not be measured 3 times in a row" in (over.message or "")
