"""What an operator does to a running agent: leave, drain, stop, reload, kill; and what must not happen meanwhile."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
import pytest

from launchd.cli.local_agent import agent_locations, runtime_dir
from launchd.client.errors import Unauthorized
from launchd.client.queue_server import QueueServer
from launchd.config import ConfigError
from tests.support.gate import Gate
from tests.support.lossy_proxy import lossy_proxy
from tests.support.processes import command_line
from tests.support.server import Account, Api
from tests.support.testbed import QUEUE, ROOT, AgentProcess, Testbed, make_testbed
from tests.support.waiting import assert_stays, wait_until

STUBBORN = (sys.executable, str(ROOT / "examples" / "stubborn" / "main.py"))

#: Prints a numbered line every 20 ms, 100 times.
PRINTING = 'i=0; while [ "$i" -lt 100 ]; do echo "line $i"; i=$((i+1)); sleep 0.02; done'

MANY = 64


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account, max_jobs=2, launchd={"jobs": {"stop_grace_seconds": 0.5}}) as opened:
        yield opened


def push_waiting(testbed: Testbed, gate: Gate, **spec: Any) -> str:
    """Queue a job that waits at the gate."""
    return testbed.push("sh", "-c", f"echo begun; {gate.wait}; echo ended", **spec)


def wait_running(testbed: Testbed, *items: str) -> None:
    wait_until(lambda: all(testbed.phase(item) == "running" for item in items), 20.0, "the jobs run")


def output(testbed: Testbed, item_id: str) -> str:
    return Path(testbed.job(item_id)["log_path"]).read_text()


def workers(testbed: Testbed) -> list[psutil.Process]:
    """Return the workers that have a job of this testbed."""
    return [process for process in testbed.processes() if "launchd: worker" in command_line(process)]


def jobs_in_phase(testbed: Testbed, phase: str) -> list[str]:
    return [job["item_id"] for job in testbed.status()["jobs"] if job["phase"] == phase]


# Leaving, and coming back.


def test_after_sigterm_jobs_run_on_and_the_next_agent_has_them(testbed: Testbed, gate: Gate) -> None:
    item = testbed.push("sh", "-c", f"{PRINTING}; {gate.wait}")
    agent = testbed.start_agent()
    wait_running(testbed, item)
    assert agent.terminate() == 0
    assert workers(testbed) == []
    assert testbed.processes() != []

    testbed.start_agent()
    gate.open()
    (ended,) = testbed.wait_over([item])
    assert ended.state == "FINISHED"
    assert output(testbed, item) == "".join(f"line {number}\n" for number in range(100))
    assert testbed.status()["counters"]["adopted"] == 1


def test_a_job_that_ended_while_no_agent_ran_is_reported_by_the_next(testbed: Testbed, gate: Gate) -> None:
    item = push_waiting(testbed, gate)
    agent = testbed.start_agent()
    wait_running(testbed, item)
    agent.kill()
    gate.open()
    wait_until(lambda: not testbed.processes(), what="the job ended unseen")
    testbed.start_agent()
    (ended,) = testbed.wait_over([item])
    assert (ended.state, ended.exit_code) == ("FINISHED", 0)
    assert output(testbed, item) == "begun\nended\n"


def test_what_is_left_to_tell_is_told_although_the_queue_is_gone(testbed: Testbed, gate: Gate) -> None:
    """The agent is started again over two jobs; one ends by itself, the other is to be stopped."""
    ended, running = push_waiting(testbed, gate), testbed.push("sleep", "600")
    agent = testbed.start_agent()
    wait_running(testbed, ended, running)
    agent.kill()
    gate.open()
    testbed.configure(max_jobs=2, queues=["gone"])
    testbed.start_agent()
    assert testbed.wait_over([ended])[0].state == "FINISHED"
    wait_until(lambda: "There is no queue gone" in (testbed.status()["problem"] or ""), what="the problem is shown")
    testbed.client.stop_item(running, "enough")
    (stopped,) = testbed.wait_over([running])
    assert (stopped.state, stopped.stop_reason) == ("STOPPED", "enough")


def test_an_agent_answers_although_its_configuration_cannot_be_used_any_more(
    testbed: Testbed, capsys: pytest.CaptureFixture[str]
) -> None:
    agent, path = testbed.start_agent(), str(testbed.config_path)
    testbed.config_path.write_text(testbed.config_path.read_text().replace("max_jobs: 2", "max_jobs: many"))

    assert runtime_dir(path, None) == testbed.runtime_dir
    said = capsys.readouterr().err
    assert said.startswith(f"Warning: the configuration cannot be used, and the agent that runs (process {agent.pid})")
    assert path in said
    assert [location.runtime_dir for location in agent_locations(path, None)] == [testbed.runtime_dir]

    agent.kill()
    with pytest.raises(ConfigError, match="many"):
        runtime_dir(path, None)


def test_64_jobs_of_a_killed_supervisor_are_adopted(testbed: Testbed, gate: Gate) -> None:
    testbed.configure(max_jobs=MANY)
    agent = testbed.start_agent()
    items = [push_waiting(testbed, gate) for _ in range(MANY)]
    wait_until(lambda: len(jobs_in_phase(testbed, "running")) == MANY, 30.0, "all jobs run")
    agent.kill()

    begun = time.monotonic()
    testbed.start_agent()
    wait_until(lambda: testbed.status()["counters"].get("adopted") == MANY, 30.0, "all jobs are adopted")
    print(f"{MANY} jobs adopted within {time.monotonic() - begun:.2f} s of the start")  # noqa: T201 - a figure for whoever looks
    gate.open()
    assert {item.state for item in testbed.wait_over(items)} == {"FINISHED"}
    assert {output(testbed, item) for item in items} == {"begun\nended\n"}
    assert testbed.status()["counters"]["finished"] == MANY


def test_the_agent_keeps_its_id_over_restarts(testbed: Testbed) -> None:
    agent = testbed.start_agent()
    first = wait_until(lambda: testbed.status()["agent"]["id"], what="it registered")
    agent.terminate()
    agent = testbed.start_agent()
    assert wait_until(lambda: testbed.status()["agent"]["id"], what="it registered") == first
    agent.kill()
    testbed.start_agent()
    assert wait_until(lambda: testbed.status()["agent"]["id"], what="it registered") == first


def test_a_second_agent_on_the_same_state_says_so_and_leaves(testbed: Testbed) -> None:
    first = testbed.start_agent()
    second = AgentProcess(testbed, {})
    assert second.wait_gone() == 1
    assert f"Another agent (process {first.pid}) uses {testbed.state_dir}." in testbed.log()
    assert "Traceback" not in testbed.log()
    assert testbed.status()["agent"]["pid"] == first.pid


def test_a_draining_agent_claims_nothing_and_leaves_with_its_last_job(testbed: Testbed, gate: Gate) -> None:
    agent = testbed.start_agent()
    running = push_waiting(testbed, gate)
    wait_running(testbed, running)
    assert testbed.ask(command="drain") == {"ok": True, "jobs": 1}
    queued = testbed.push("true")
    assert testbed.status()["agent"]["state"] == "draining"
    # A question that was open at the queue may still bring it; then it is given back.
    assert_stays(lambda: agent.exit_code() is None and testbed.phase(queued) is None, 0.7, "the agent")
    wait_until(lambda: testbed.item(queued).state == "PENDING", what="it waits for another agent")
    gate.open()
    assert agent.wait_gone() == 0
    assert (testbed.item(running).state, testbed.item(queued).state) == ("FINISHED", "PENDING")


def status_at_server(testbed: Testbed) -> str | None:
    agent = testbed.client.agent(testbed.status()["agent"]["id"])
    return agent and agent.status


def test_an_agent_that_drains_can_take_jobs_again(testbed: Testbed, gate: Gate) -> None:
    testbed.configure(max_jobs=4, launchd={"supervision": {"wait_seconds": 60.0}})
    testbed.start_agent()
    running = push_waiting(testbed, gate)
    wait_running(testbed, running)
    testbed.ask(command="drain")
    assert testbed.status()["agent"]["why_draining"] == "of `launchd drain`"
    # Well before the end of the heartbeat that waits at the server.
    wait_until(lambda: status_at_server(testbed) == "DRAINING", timeout=10, what="what others see")
    assert testbed.ask(command="undrain") == {"ok": True, "jobs": 1}
    wait_until(lambda: status_at_server(testbed) == "RUNNING", timeout=10, what="what others see")
    assert (testbed.status()["agent"]["state"], testbed.status()["agent"]["why_draining"]) == ("polling", None)
    queued = testbed.push("true")
    assert testbed.wait_over([queued])[0].state == "FINISHED"

    gate.open()
    assert testbed.wait_over([running])[0].state == "FINISHED"
    assert testbed.status()["agent"]["state"] == "polling"


def test_an_agent_that_does_not_drain_is_not_changed_by_undrain(testbed: Testbed) -> None:
    testbed.start_agent()
    assert testbed.ask(command="undrain") == {"ok": True, "jobs": 0}
    assert testbed.wait_over([testbed.push("true")])[0].state == "FINISHED"


# Limits of time.


def limited(seconds: float) -> dict[str, Any]:
    return {"local-process": {"launchd": {"max_runtime_seconds": seconds}}}


def test_a_job_that_ran_for_longer_than_it_may_is_stopped_with_grace(testbed: Testbed) -> None:
    testbed.start_agent()
    trap = "trap 'echo asked; exit 3' TERM; echo begun; while :; do sleep 0.05; done"
    item = testbed.push("sh", "-c", trap, resource_args=limited(0.5))
    (ended,) = testbed.wait_over([item])
    # The shell may say of what it waited for that it was terminated, too.
    lines = output(testbed, item).splitlines()
    assert (ended.state, lines[0], lines[-1]) == ("STOPPED", "begun", "asked")
    assert ended.message == "The job was stopped: it ran longer than its limit of 0.5s, set by its submitter."
    assert testbed.job(item)["time_limit_seconds"] == 0.5


def test_the_time_of_a_job_goes_on_while_no_agent_runs(testbed: Testbed) -> None:
    agent = testbed.start_agent()
    item = testbed.push("sleep", "600", resource_args=limited(4.0))
    wait_running(testbed, item)
    started = testbed.job(item)["started_at"]
    agent.kill()
    wait_until(lambda: time.time() > started + 4.0, what="its time is over")
    testbed.start_agent()
    (ended,) = testbed.wait_over([item], timeout=10.0)
    # The agent may have died before it had written the start; the job's own record has it, too.
    assert (ended.state, testbed.job(item)["started_at"]) == ("STOPPED", pytest.approx(started, abs=0.1))
    assert "longer than its limit of 4.0s" in (ended.message or "")


def test_what_ran_is_listed_with_what_it_used_without_an_agent(testbed: Testbed) -> None:
    agent = testbed.start_agent()
    busy = "import time; x = bytearray(64 << 20); b = time.monotonic()\nwhile time.monotonic() - b < 0.5: pass"
    item = testbed.push(sys.executable, "-c", busy)
    testbed.wait_over([item])
    agent.terminate()
    done = subprocess.run(
        [sys.executable, "-m", "launchd", "history", "--json", "--queue", QUEUE, "-c", str(testbed.config_path)],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    (entry,) = json.loads(done.stdout)
    assert (entry["item_id"], entry["outcome"], entry["queue"]) == (item, "finished", QUEUE)
    assert 0.4 < entry["seconds"] < 20
    assert 0.05 < entry["cpu_seconds"] < 20
    assert entry["peak_memory_bytes"] > 64 << 20


def test_stop_polling_drains_the_agent(testbed: Testbed, gate: Gate) -> None:
    agent = testbed.start_agent()
    running = push_waiting(testbed, gate)
    wait_running(testbed, running)
    testbed.client.stop_agent(testbed.status()["agent"]["id"])
    wait_until(lambda: testbed.status()["agent"]["state"] == "draining", what="the order was heard")
    queued = testbed.push("true")
    gate.open()
    assert agent.wait_gone() == 0
    assert (testbed.item(running).state, testbed.item(queued).state) == ("FINISHED", "PENDING")


def test_a_drain_that_the_server_wants_is_taken_back_there_alone(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    running = push_waiting(testbed, gate)
    wait_running(testbed, running)
    agent = testbed.status()["agent"]
    testbed.client.stop_agent(agent["id"])
    wait_until(lambda: testbed.status()["agent"]["state"] == "draining", what="the order was heard")
    refused = testbed.ask(command="undrain")
    assert refused["error"].endswith(f"That is taken back there: launchd agent undrain {agent['name']}")
    testbed.client.undrain_agent(agent["id"])
    wait_until(lambda: testbed.status()["agent"]["state"] == "polling", what="the agent takes jobs")
    queued = testbed.push("true")
    gate.open()
    assert {ended.state for ended in testbed.wait_over([running, queued])} == {"FINISHED"}


def test_an_agent_elsewhere_is_stopped_with_its_jobs(testbed: Testbed, gate: Gate) -> None:
    agent = testbed.start_agent()
    running = push_waiting(testbed, gate)
    wait_running(testbed, running)
    stopped = testbed.client.stop_agent_and_items(testbed.status()["agent"]["id"], "the host is taken down")
    assert stopped == (running,)
    assert agent.wait_gone() == 0
    ended = testbed.item(running)
    assert (ended.state, ended.stop_reason) == ("STOPPED", "the host is taken down")


# Stopping a job.


def test_a_stop_that_was_answered_is_carried_out_whatever_dies(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    items = [push_waiting(testbed, gate) for _ in range(2)]
    wait_running(testbed, *items)
    assert testbed.agent is not None
    for item in items:
        assert testbed.ask(command="stop", item=item)["ok"]
    testbed.agent.kill()
    testbed.start_agent()
    assert {ended.state for ended in testbed.wait_over(items)} == {"STOPPED"}


def test_a_queued_item_is_stopped_in_the_queue(testbed: Testbed, gate: Gate) -> None:
    testbed.configure(max_jobs=1)
    testbed.start_agent()
    running = push_waiting(testbed, gate)
    wait_running(testbed, running)
    marker = testbed.directory / "ran"
    queued = testbed.push("touch", str(marker))
    assert testbed.client.stop_item(queued, "not needed") == "The item has ended, as STOPPED."
    gate.open()
    testbed.wait_over([running])
    after = testbed.push("true")
    testbed.wait_over([after])
    assert (testbed.item(queued).state, testbed.item(queued).stop_reason) == ("STOPPED", "not needed")
    assert not marker.exists()


def test_a_job_is_stopped_while_its_source_is_fetched(testbed: Testbed) -> None:
    testbed.start_agent()
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/repository"
        item = testbed.push(git={"repo": url, "version": None})
        wait_until(lambda: testbed.phase(item) == "fetching", what="the fetch began")
        assert testbed.ask(command="stop", item=item, reason="wrong repository")["ok"]
        (ended,) = testbed.wait_over([item], timeout=15.0)
    assert (ended.state, ended.message) == ("STOPPED", "The job was stopped: wrong repository.")
    wait_until(lambda: not testbed.processes(), what="git is gone")


def test_limits_that_this_host_cannot_hold_are_said(testbed: Testbed, tmp_path: Path) -> None:
    jobs = {"control_group": str(tmp_path / "none"), "limits": {"memory": "1 GiB"}}
    testbed.configure(max_jobs=1, launchd={"jobs": jobs})
    testbed.start_agent()

    item = testbed.push("true")

    # Jobs run all the same: that the limit is not held is the administrator's to know.
    assert testbed.wait_over([item])[0].state == "FINISHED"
    said = testbed.status()["control_groups"]
    assert said["root"] is None
    assert said["shortcoming"].endswith("found by descent, and the configured limits of memory are not held.")
    assert testbed.log().count("Not everything of a job is held.") == 1
    asked = testbed.push("true", resource_args={"local-process": {"memory": "64 MiB"}})
    (refused,) = testbed.wait_over([asked])
    assert refused.state == "FAILED"
    assert "a limit of memory, which this host cannot hold" in (refused.message or "")
    ended = {job["item_id"]: job for job in testbed.status()["recent"]}
    assert ended[item]["peak_memory_bytes"] > 0
    assert ended[asked]["peak_memory_bytes"] is None


@pytest.mark.parametrize("way", ["control socket", "queue server", "while the agent is away"])
def test_a_stubborn_job_is_stopped_with_all_it_started(testbed: Testbed, way: str) -> None:
    agent = testbed.start_agent()
    item = testbed.push(*STUBBORN)
    wait_until(lambda: testbed.phase(item) == "running" and "ignore" in output(testbed, item), what="the job runs")
    family = [psutil.Process(int(pid)) for pid in re.findall(r"\d+", output(testbed, item))]
    assert len(family) == 3
    match way:
        case "control socket":
            assert testbed.ask(command="stop", item=item, reason="too slow")["ok"]
        case "queue server":
            testbed.client.stop_item(item, "too slow")
        case _:
            agent.kill()
            testbed.client.stop_item(item, "too slow")
            testbed.start_agent()
    (ended,) = testbed.wait_over([item], timeout=15.0)
    assert (ended.state, ended.message) == ("STOPPED", "The job was stopped: too slow.")
    assert [process.is_running() for process in family] == [False] * 3
    wait_until(lambda: not testbed.processes(), what="nothing is left")


def test_a_stop_of_an_unknown_job_is_refused_in_a_sentence(testbed: Testbed) -> None:
    testbed.start_agent()
    answer = testbed.ask(command="stop", item="no-such-item")
    assert answer == {"ok": False, "error": "This agent has no active job no-such-item."}


# Reloading.


@pytest.mark.parametrize("way", ["SIGHUP", "control socket"])
def test_more_slots_are_used_after_a_reload(testbed: Testbed, gate: Gate, way: str) -> None:
    testbed.configure(max_jobs=1)
    agent = testbed.start_agent()
    items = [push_waiting(testbed, gate) for _ in range(3)]
    wait_running(testbed, items[0])
    testbed.configure(max_jobs=3)
    if way == "SIGHUP":
        os.kill(agent.pid, signal.SIGHUP)
    else:
        assert testbed.ask(command="reload") == {"ok": True}
    wait_running(testbed, *items)
    gate.open()
    assert {item.state for item in testbed.wait_over(items)} == {"FINISHED"}


@pytest.mark.parametrize("way", ["SIGHUP", "control socket"])
def test_a_wrong_configuration_leaves_the_old_one_in_force(testbed: Testbed, way: str) -> None:
    agent = testbed.start_agent()
    before = testbed.config_path.read_text()
    testbed.config_path.write_text(before.replace("max_jobs: 2", "max_jobz: 9"))
    if way == "SIGHUP":
        os.kill(agent.pid, signal.SIGHUP)
        wait_until(lambda: "the old one stays in force" in testbed.log(), what="it is logged")
        assert "max_jobz" in testbed.log()
    else:
        answer = testbed.ask(command="reload")
        assert not answer["ok"]
        assert "max_jobz" in answer["error"]
        assert "max_jobs" in answer["error"]
    assert testbed.status()["agent"]["max_jobs"] == 2
    assert [item.state for item in testbed.wait_over([testbed.push("true")])] == ["FINISHED"]


def test_other_queues_are_served_after_a_reload_and_jobs_go_on(testbed: Testbed, gate: Gate) -> None:
    testbed.client.create_queue(testbed.entity, "second")
    testbed.start_agent()
    running = push_waiting(testbed, gate)
    wait_running(testbed, running)
    testbed.configure(max_jobs=3, queues=["second"])
    assert testbed.ask(command="reload") == {"ok": True}
    # The question that the agent left open at the first queue is still answered.
    spec = {"entity": testbed.entity, "project": "tests", "resource": "local-process"}
    specs = spec | {"overrides": {"entry_point": ["true"]}}
    testbed.push("true")
    for _ in range(4):
        testbed.wait_over([testbed.client.push(testbed.entity, "second", specs)], timeout=15.0)
    gate.open()
    assert testbed.wait_over([running])[0].state == "FINISHED"


# What holds all the time.


def test_there_are_never_more_jobs_than_slots(testbed: Testbed) -> None:
    testbed.configure(max_jobs=3)
    testbed.start_agent()
    present, counts, ready = (testbed.directory / name for name in ("present", "counts", "ready"))
    present.mkdir()
    waiting = f"until [ -e {ready} ]; do sleep 0.05; done"
    script = f"touch {present}/$$; ls {present} | wc -l >> {counts}; {waiting}; rm {present}/$$"
    items = [testbed.push("sh", "-c", script) for _ in range(20)]
    wait_until(lambda: len(list(present.iterdir())) == 3, 30.0, "three jobs at once")
    seen = [len(testbed.status()["jobs"])]
    ready.touch()
    while any(testbed.item(item).state != "FINISHED" for item in items):
        seen.append(len(testbed.status()["jobs"]))
    assert max(seen) == 3
    assert max(int(count) for count in counts.read_text().split()) == 3
    assert len(counts.read_text().split()) == 20


def test_directories_of_old_jobs_go_and_the_last_ones_stay(testbed: Testbed) -> None:
    testbed.configure(max_jobs=2, launchd={"jobs": {"keep_finished": 1}})
    testbed.start_agent()
    items = [testbed.push("true") for _ in range(4)]
    testbed.wait_over(items)
    directories = testbed.state_dir / "jobs"

    wait_until(lambda: len(list(directories.iterdir())) == 1, 20.0, "the removal of old directories")
    wait_until(lambda: len(testbed.journal_states()) == 1, what="the journal forgets them, too")

    (kept,) = [item for item in items if item in testbed.journal_states()]
    assert testbed.job(kept)["workload_name"] == next(directories.iterdir()).name


def test_schedulers_have_slots_of_their_own(testbed: Testbed, gate: Gate) -> None:
    testbed.configure(max_jobs=1, max_schedulers=1)
    testbed.start_agent()
    scheduler: dict[str, Any] = {
        "uri": "placeholder-uri-scheduler",
        "resource": "fake",
        "resource_args": {"fake": {"run_seconds": 2}},
    }
    schedulers = [testbed.push("true", **scheduler) for _ in range(2)]
    jobs = [push_waiting(testbed, gate) for _ in range(2)]
    wait_running(testbed, schedulers[0], jobs[0])
    assert_stays(lambda: len(testbed.status()["jobs"]) == 2, 0.5, "one of each kind")
    assert [testbed.item(item).state for item in (schedulers[1], jobs[1])] == ["PENDING", "PENDING"]
    wait_running(testbed, schedulers[1])
    assert testbed.item(jobs[1]).state == "PENDING"
    gate.open()
    assert {item.state for item in testbed.wait_over([*schedulers, *jobs])} == {"FINISHED"}


def test_a_job_does_not_feel_its_workers_death(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    item = push_waiting(testbed, gate)
    wait_running(testbed, item)
    first = testbed.job(item)["worker_pid"]
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: testbed.job(item)["worker_pid"] not in (None, first), what="it has another worker")
    gate.open()
    (ended,) = testbed.wait_over([item])
    assert (ended.state, output(testbed, item)) == ("FINISHED", "begun\nended\n")
    assert testbed.status()["counters"]["worker_losses"] == 1


def test_processes_say_what_they_are(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    item = push_waiting(testbed, gate)
    wait_running(testbed, item)
    title = f"launchd: worker {QUEUE}/{item} running"
    worker = psutil.Process(testbed.job(item)["worker_pid"])
    wait_until(lambda: command_line(worker) == title, 3.0, f"the title {title}")
    assert command_line(psutil.Process(worker.ppid())) == "launchd: fork server"
    gate.open()
    testbed.wait_over([item])


@pytest.mark.root
def test_jobs_run_as_the_user_of_the_policy(account: Account) -> None:
    # Below a directory that other users may enter, unlike pytest's own.
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        policy = {"resources": ["local-process"], "run_as_user": "nobody"}
        with make_testbed(Path(name), account, launchd={"policy": policy}) as opened:
            opened.start_agent()
            item = opened.push("sh", "-c", "id -un; touch written; stat -c %a written")
            opened.wait_over([item])
            assert output(opened, item) == "nobody\n644\n"
            ours = [path for path in opened.state_dir.rglob("*") if path.is_file() and path.owner() == "root"]
            assert [path for path in ours if path.stat().st_mode & 0o077] == []


# The key of a job.


def test_a_jobs_key_is_its_own_and_reaches_nothing_else(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    told = testbed.directory / "told"
    tell = f'printf %s "$WANDB_API_KEY" > {told}.new; mv {told}.new {told}; {gate.wait}'
    item = testbed.push("sh", "-c", tell, _wandb_api_key=testbed.server.key)
    wait_running(testbed, item)
    wait_until(told.exists, what="the job has a key")
    key = told.read_text()
    assert key != testbed.server.key
    assert list((testbed.state_dir / "keys").iterdir()) == []
    assert where_it_stands(testbed, key) == []
    assert where_it_stands(testbed, testbed.server.key) == []
    assert works(testbed, key)
    gate.open()
    testbed.wait_over([item])
    assert where_it_stands(testbed, key) == []
    wait_until(lambda: not works(testbed, key), 20.0, "the key has ended with the job")


def works(testbed: Testbed, key: str) -> bool:
    """Whether the queue server takes an API key."""
    with closing(QueueServer(testbed.server.url, key)) as server:
        try:
            server.viewer()
        except Unauthorized:
            return False
    return True


def where_it_stands(testbed: Testbed, secret: str) -> list[str]:
    """Return the files of the agent, and the command lines of this machine, that hold ``secret``."""
    files = [path for path in testbed.state_dir.rglob("*") if path.is_file()]
    lines = Path("/proc").glob("[0-9]*/cmdline")
    return [str(path) for path in [*files, testbed.agent_log, *lines] if secret.encode() in read_if_there(path)]


def read_if_there(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


# Preempted runs.


def resume_counts(testbed: Testbed, run_id: str) -> list[int]:
    """Return the resume count of each item that has become this run."""
    specs = [item.run_spec or {} for item in testbed.client.queue_items(testbed.entity, QUEUE)]
    return sorted(spec.get("_resume_count", 0) for spec in specs if spec.get("run_id") == run_id)


def test_a_preempted_run_is_queued_again_five_times_at_most(testbed: Testbed) -> None:
    testbed.start_agent()
    testbed.push("true", resource="fake", resource_args={"fake": {"preempt": True}}, run_id="prey", sweep_id=None)
    wait_until(lambda: len(resume_counts(testbed, "prey")) == 6, 15.0, "it was queued again five times")
    wait_until(lambda: not testbed.status()["jobs"], what="all attempts are over")
    assert_stays(lambda: resume_counts(testbed, "prey") == [0, 1, 2, 3, 4, 5], 0.7, "the number of attempts")
    assert testbed.status()["counters"]["preempted"] == 6


def test_the_key_of_an_agent_is_enough_for_one(testbed: Testbed) -> None:
    with Api(testbed.server.url, testbed.server.key) as api:
        key = api.mutate("generateApiKey", "key", role="AGENT")["key"]
    testbed.start_agent(WANDB_API_KEY=key)
    item = testbed.push("sh", "-c", "exit 3")
    testbed.wait_over([item])
    assert testbed.item(item).state == "FAILED"
    testbed.push("true", resource="fake", resource_args={"fake": {"preempt": True}}, run_id="prey", _resume_count=4)
    wait_until(lambda: resume_counts(testbed, "prey") == [4, 5], 15.0, "it was put back")
    wait_until(lambda: testbed.outbox() == 0 and not testbed.status()["jobs"], what="all is told")


def test_a_preempted_run_is_queued_again_once_though_the_answer_got_lost(testbed: Testbed) -> None:
    with lossy_proxy(testbed.server.url) as proxy:
        proxy.to_lose["pushToRunQueueByName"] = 1
        testbed.start_agent(WANDB_BASE_URL=proxy.url)
        knobs = {"fake": {"preempt": True}}
        testbed.push("true", resource="fake", resource_args=knobs, run_id="prey", _resume_count=4)
        wait_until(lambda: proxy.lost["pushToRunQueueByName"], what="the answer got lost")
        wait_until(lambda: testbed.outbox() == 0 and not testbed.status()["jobs"], what="all is told")
        assert resume_counts(testbed, "prey") == [4, 5]
        testbed.close()
