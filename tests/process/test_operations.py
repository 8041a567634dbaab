"""What an operator does to a running agent: leave, drain, stop, reload, kill; and what must not happen meanwhile."""

import os
import re
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from tests.support.gate import Gate
from tests.support.lossy_proxy import lossy_proxy
from tests.support.testbed import QUEUE, ROOT, AgentProcess, House, house
from tests.support.waiting import assert_stays, wait_until

STUBBORN = (sys.executable, str(ROOT / "examples" / "stubborn" / "main.py"))

#: Prints a numbered line every 20 ms, 100 times.
PRINTING = 'i=0; while [ "$i" -lt 100 ]; do echo "line $i"; i=$((i+1)); sleep 0.02; done'

MANY = 64


@pytest.fixture
def home(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path, max_jobs=2, launchd={"jobs": {"stop_grace_seconds": 0.5}}) as opened:
        yield opened


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path / "gate")


def push_waiting(home: House, gate: Gate, **spec: Any) -> str:
    """Queue a job that waits at the gate."""
    return home.push("sh", "-c", f"echo begun; {gate.wait}; echo ended", **spec)


def wait_running(home: House, *items: str) -> None:
    wait_until(lambda: all(home.phase(item) == "running" for item in items), 20.0, "the jobs run")


def output(home: House, item_id: str) -> str:
    return Path(home.job(item_id)["log_path"]).read_text()


def workers(home: House) -> list[psutil.Process]:
    """Return the workers that have a job of this house."""
    return [process for process in home.processes() if "launchd: worker" in " ".join(process.cmdline())]


def jobs_in_phase(home: House, phase: str) -> list[str]:
    return [job["item_id"] for job in home.status()["jobs"] if job["phase"] == phase]


# Leaving, and coming back.


def test_after_sigterm_jobs_run_on_and_the_next_agent_has_them(home: House) -> None:
    item = home.push("sh", "-c", PRINTING)
    agent = home.start_agent()
    wait_running(home, item)
    assert agent.terminate() == 0
    assert workers(home) == []
    assert home.processes() != []

    home.start_agent()
    (ended,) = home.wait_over([item])
    assert ended.state == "FINISHED"
    assert output(home, item) == "".join(f"line {number}\n" for number in range(100))
    assert home.status()["counters"]["adopted"] == 1


def test_a_job_that_ended_while_no_agent_ran_is_reported_by_the_next(home: House, gate: Gate) -> None:
    item = push_waiting(home, gate)
    agent = home.start_agent()
    wait_running(home, item)
    agent.kill()
    gate.open()
    wait_until(lambda: not home.processes(), what="the job ended unseen")
    home.start_agent()
    (ended,) = home.wait_over([item])
    assert (ended.state, ended.exit_code) == ("FINISHED", 0)
    assert output(home, item) == "begun\nended\n"


def test_64_jobs_of_a_killed_supervisor_are_adopted(home: House, gate: Gate) -> None:
    home.configure(max_jobs=MANY)
    agent = home.start_agent()
    items = [push_waiting(home, gate) for _ in range(MANY)]
    wait_until(lambda: len(jobs_in_phase(home, "running")) == MANY, 30.0, "all jobs run")
    agent.kill()

    begun = time.monotonic()
    home.start_agent()
    wait_until(lambda: home.status()["counters"].get("adopted") == MANY, 30.0, "all jobs are adopted")
    print(f"{MANY} jobs adopted within {time.monotonic() - begun:.2f} s of the start")  # noqa: T201 - a figure for whoever looks
    gate.open()
    assert {item.state for item in home.wait_over(items)} == {"FINISHED"}
    assert {output(home, item) for item in items} == {"begun\nended\n"}
    assert home.status()["counters"]["finished"] == MANY


def test_the_agent_keeps_its_id_over_restarts(home: House) -> None:
    agent = home.start_agent()
    first = wait_until(lambda: home.status()["agent"]["id"], what="it registered")
    agent.terminate()
    agent = home.start_agent()
    assert wait_until(lambda: home.status()["agent"]["id"], what="it registered") == first
    agent.kill()
    home.start_agent()
    assert wait_until(lambda: home.status()["agent"]["id"], what="it registered") == first


def test_a_second_agent_on_the_same_state_says_so_and_leaves(home: House) -> None:
    first = home.start_agent()
    second = AgentProcess(home, {})
    assert second.wait_gone() == 1
    assert f"Another agent (process {first.pid}) uses {home.state_dir}." in home.log()
    assert "Traceback" not in home.log()
    assert home.status()["agent"]["pid"] == first.pid


def test_a_draining_agent_claims_nothing_and_leaves_with_its_last_job(home: House, gate: Gate) -> None:
    agent = home.start_agent()
    running = push_waiting(home, gate)
    wait_running(home, running)
    assert home.ask(command="drain") == {"ok": True, "jobs": 1}
    queued = home.push("true")
    assert home.status()["agent"]["state"] == "draining"
    # A question that was open at the queue may still bring it; then it is given back.
    assert_stays(lambda: agent.exit_code() is None and home.phase(queued) is None, 0.7, "the agent")
    wait_until(lambda: home.item(queued).state == "PENDING", what="it waits for another agent")
    gate.open()
    assert agent.wait_gone() == 0
    assert (home.item(running).state, home.item(queued).state) == ("FINISHED", "PENDING")


def test_stop_polling_drains_the_agent(home: House, gate: Gate) -> None:
    agent = home.start_agent()
    running = push_waiting(home, gate)
    wait_running(home, running)
    home.client.stop_agent(home.status()["agent"]["id"])
    wait_until(lambda: home.status()["agent"]["state"] == "draining", what="the order was heard")
    queued = home.push("true")
    gate.open()
    assert agent.wait_gone() == 0
    assert (home.item(running).state, home.item(queued).state) == ("FINISHED", "PENDING")


# Stopping a job.


def test_a_queued_item_is_stopped_in_the_queue(home: House, gate: Gate) -> None:
    home.configure(max_jobs=1)
    home.start_agent()
    running = push_waiting(home, gate)
    wait_running(home, running)
    marker = home.directory / "ran"
    queued = home.push("touch", str(marker))
    assert home.client.stop_item(queued, "not needed") == "STOPPED"
    gate.open()
    home.wait_over([running])
    after = home.push("true")
    home.wait_over([after])
    assert (home.item(queued).state, home.item(queued).stop_reason) == ("STOPPED", "not needed")
    assert not marker.exists()


def test_a_job_is_stopped_while_its_source_is_fetched(home: House) -> None:
    home.start_agent()
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/repository"
        item = home.push(git={"repo": url, "version": None})
        wait_until(lambda: home.phase(item) == "fetching", what="the fetch began")
        assert home.ask(command="stop", item=item, reason="wrong repository")["ok"]
        (ended,) = home.wait_over([item], timeout=15.0)
    assert (ended.state, ended.message) == ("STOPPED", "The job was stopped: wrong repository.")
    wait_until(lambda: not home.processes(), what="git is gone")


@pytest.mark.parametrize("way", ["control socket", "queue server", "while the agent is away"])
def test_a_stubborn_job_is_stopped_with_all_it_started(home: House, way: str) -> None:
    agent = home.start_agent()
    item = home.push(*STUBBORN)
    wait_until(lambda: home.phase(item) == "running" and "ignore" in output(home, item), what="the job runs")
    family = [psutil.Process(int(pid)) for pid in re.findall(r"\d+", output(home, item))]
    assert len(family) == 3
    match way:
        case "control socket":
            assert home.ask(command="stop", item=item, reason="too slow")["ok"]
        case "queue server":
            home.client.stop_item(item, "too slow")
        case _:
            agent.kill()
            home.client.stop_item(item, "too slow")
            home.start_agent()
    (ended,) = home.wait_over([item], timeout=15.0)
    assert (ended.state, ended.message) == ("STOPPED", "The job was stopped: too slow.")
    assert [process.is_running() for process in family] == [False] * 3
    wait_until(lambda: not home.processes(), what="nothing is left")


def test_a_stop_of_an_unknown_job_is_refused_in_a_sentence(home: House) -> None:
    home.start_agent()
    answer = home.ask(command="stop", item="no-such-item")
    assert answer == {"ok": False, "error": "No job no-such-item is in this agent's care."}


# Reloading.


@pytest.mark.parametrize("way", ["SIGHUP", "control socket"])
def test_more_slots_are_used_after_a_reload(home: House, gate: Gate, way: str) -> None:
    home.configure(max_jobs=1)
    agent = home.start_agent()
    items = [push_waiting(home, gate) for _ in range(3)]
    wait_running(home, items[0])
    home.configure(max_jobs=3)
    if way == "SIGHUP":
        os.kill(agent.pid, signal.SIGHUP)
    else:
        assert home.ask(command="reload") == {"ok": True}
    wait_running(home, *items)
    gate.open()
    assert {item.state for item in home.wait_over(items)} == {"FINISHED"}


@pytest.mark.parametrize("way", ["SIGHUP", "control socket"])
def test_a_wrong_configuration_leaves_the_old_one_in_force(home: House, way: str) -> None:
    agent = home.start_agent()
    before = home.config_path.read_text()
    home.config_path.write_text(before.replace("max_jobs: 2", "max_jobz: 9"))
    if way == "SIGHUP":
        os.kill(agent.pid, signal.SIGHUP)
        wait_until(lambda: "the old one stays in force" in home.log(), what="it is logged")
        assert "max_jobz" in home.log()
    else:
        answer = home.ask(command="reload")
        assert not answer["ok"]
        assert "max_jobz" in answer["error"]
        assert "max_jobs" in answer["error"]
    assert home.status()["agent"]["max_jobs"] == 2
    assert [item.state for item in home.wait_over([home.push("true")])] == ["FINISHED"]


def test_other_queues_are_served_after_a_reload_and_jobs_go_on(home: House, gate: Gate) -> None:
    home.client.create_queue(home.entity, "second")
    home.start_agent()
    running = push_waiting(home, gate)
    wait_running(home, running)
    home.configure(max_jobs=3, queues=["second"])
    assert home.ask(command="reload") == {"ok": True}
    # The question that the agent left open at the first queue is still answered.
    spec = {"entity": home.entity, "project": "tests", "resource": "local-process"}
    specs = spec | {"overrides": {"entry_point": ["true"]}}
    home.push("true")
    for _ in range(4):
        home.wait_over([home.client.push(home.entity, "second", specs)], timeout=15.0)
    gate.open()
    assert home.wait_over([running])[0].state == "FINISHED"


# What holds all the time.


def test_there_are_never_more_jobs_than_slots(home: House) -> None:
    home.configure(max_jobs=3)
    home.start_agent()
    present, counts = home.directory / "present", home.directory / "counts"
    present.mkdir()
    script = f"touch {present}/$$; ls {present} | wc -l >> {counts}; sleep 0.1; rm {present}/$$"
    items = [home.push("sh", "-c", script) for _ in range(20)]
    seen = []
    while any(home.item(item).state != "FINISHED" for item in items):
        seen.append(len(home.status()["jobs"]))
    assert max(seen) == 3
    assert max(int(count) for count in counts.read_text().split()) == 3
    assert len(counts.read_text().split()) == 20


def test_directories_of_old_jobs_go_and_the_last_ones_stay(home: House) -> None:
    home.configure(max_jobs=2, launchd={"jobs": {"keep_finished": 1}})
    home.start_agent()
    items = [home.push("true") for _ in range(4)]
    home.wait_over(items)
    directories = home.state_dir / "jobs"

    wait_until(lambda: len(list(directories.iterdir())) == 1, 20.0, "the removal of old directories")

    (kept,) = [item for item in items if item in home.journal_states()]
    assert home.job(kept)["external_name"] == next(directories.iterdir()).name


def test_schedulers_have_slots_of_their_own(home: House, gate: Gate) -> None:
    home.configure(max_jobs=1, max_schedulers=1)
    home.start_agent()
    scheduler: dict[str, Any] = {
        "uri": "placeholder-uri-scheduler",
        "resource": "fake",
        "resource_args": {"fake": {"run_seconds": 2}},
    }
    schedulers = [home.push("true", **scheduler) for _ in range(2)]
    jobs = [push_waiting(home, gate) for _ in range(2)]
    wait_running(home, schedulers[0], jobs[0])
    assert_stays(lambda: len(home.status()["jobs"]) == 2, 0.5, "one of each kind")
    assert [home.item(item).state for item in (schedulers[1], jobs[1])] == ["PENDING", "PENDING"]
    wait_running(home, schedulers[1])
    assert home.item(jobs[1]).state == "PENDING"
    gate.open()
    assert {item.state for item in home.wait_over([*schedulers, *jobs])} == {"FINISHED"}


def test_a_job_does_not_feel_its_workers_death(home: House, gate: Gate) -> None:
    home.start_agent()
    item = push_waiting(home, gate)
    wait_running(home, item)
    first = home.job(item)["worker_pid"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: home.job(item)["worker_pid"] not in (None, first), what="it has another worker")
    gate.open()
    (ended,) = home.wait_over([item])
    assert (ended.state, output(home, item)) == ("FINISHED", "begun\nended\n")
    assert home.status()["counters"]["worker_losses"] == 1


def title_of(process: psutil.Process) -> str:
    return " ".join(process.cmdline()).strip()


def test_processes_say_what_they_are(home: House, gate: Gate) -> None:
    home.start_agent()
    item = push_waiting(home, gate)
    wait_running(home, item)
    title = f"launchd: worker {QUEUE}/{item} running"
    worker = psutil.Process(home.job(item)["worker_pid"])
    wait_until(lambda: title_of(worker) == title, 3.0, f"the title {title}")
    assert title_of(psutil.Process(worker.ppid())) == "launchd: fork server"
    gate.open()
    home.wait_over([item])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")
def test_jobs_run_as_the_user_of_the_policy() -> None:
    # Below a directory that other users may enter, unlike pytest's own.
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        policy = {"resources": ["local-process"], "run_as_user": "nobody"}
        with house(Path(name), launchd={"policy": policy}) as opened:
            opened.start_agent()
            item = opened.push("sh", "-c", "id -un; touch written; stat -c %a written")
            opened.wait_over([item])
            assert output(opened, item) == "nobody\n644\n"
            ours = [path for path in opened.state_dir.rglob("*") if path.is_file() and path.owner() == "root"]
            assert [path for path in ours if path.stat().st_mode & 0o077] == []


# A submitter's own key.


def test_a_submitters_key_reaches_the_job_and_nothing_else(home: House, gate: Gate) -> None:
    key = "local-" + "5ec2e7" * 6
    home.start_agent()
    told = home.directory / "told"
    item = home.push("sh", "-c", f'printf %s "$WANDB_API_KEY" > {told}; {gate.wait}', _wandb_api_key=key)
    wait_running(home, item)
    wait_until(lambda: told.exists() and told.read_text() == key, what="the job has the key")
    assert list((home.state_dir / "keys").iterdir()) == []
    assert where_it_stands(home, key) == []
    gate.open()
    home.wait_over([item])
    assert where_it_stands(home, key) == []


def test_without_one_the_job_has_the_agents_key(home: House) -> None:
    home.start_agent()
    told = home.directory / "told"
    home.wait_over([home.push("sh", "-c", f'printf %s "$WANDB_API_KEY" > {told}')])
    assert told.read_text() == home.server.key
    assert where_it_stands(home, home.server.key) == []


def where_it_stands(home: House, secret: str) -> list[str]:
    """Return the files of the agent, and the command lines of this machine, that hold ``secret``."""
    files = [path for path in home.state_dir.rglob("*") if path.is_file()]
    lines = Path("/proc").glob("[0-9]*/cmdline")
    return [str(path) for path in [*files, home.agent_log, *lines] if secret.encode() in read_if_there(path)]


def read_if_there(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (OSError, ProcessLookupError):
        return b""


# Preempted runs.


def resume_counts(home: House, run_id: str) -> list[int]:
    """Return the resume count of each item that has become this run."""
    specs = [item.run_spec or {} for item in home.client.queue_items(home.entity, QUEUE)]
    return sorted(spec.get("_resume_count", 0) for spec in specs if spec.get("run_id") == run_id)


def test_a_preempted_run_is_queued_again_five_times_at_most(home: House) -> None:
    home.start_agent()
    home.push("true", resource="fake", resource_args={"fake": {"preempt": True}}, run_id="prey", sweep_id=None)
    wait_until(lambda: len(resume_counts(home, "prey")) == 6, 15.0, "it was queued again five times")
    wait_until(lambda: not home.status()["jobs"], what="all attempts are over")
    assert_stays(lambda: resume_counts(home, "prey") == [0, 1, 2, 3, 4, 5], 0.7, "the number of attempts")
    assert home.status()["counters"]["preempted"] == 6


def test_a_preempted_run_is_queued_again_once_though_the_answer_got_lost(home: House) -> None:
    with lossy_proxy(home.server.url) as proxy:
        proxy.to_lose["pushToRunQueueByName"] = 1
        home.start_agent(WANDB_BASE_URL=proxy.url)
        knobs = {"fake": {"preempt": True}}
        home.push("true", resource="fake", resource_args=knobs, run_id="prey", _resume_count=4)
        wait_until(lambda: proxy.lost["pushToRunQueueByName"], what="the answer got lost")
        wait_until(lambda: home.outbox() == 0 and not home.status()["jobs"], what="all is told")
        assert resume_counts(home, "prey") == [4, 5]
        home.close()
