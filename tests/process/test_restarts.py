"""An agent that leaves or dies, and the next one: jobs run on, and what is left is told."""

import json
import subprocess
import sys
import time

import psutil
import pytest

from launchd.cli.local_agent import agent_locations, runtime_dir
from launchd.config import ConfigError
from tests.support.gate import Gate
from tests.support.processes import command_line
from tests.support.testbed import QUEUE, ROOT, AgentProcess, Testbed
from tests.support.waiting import wait_until

#: Prints a numbered line every 20 ms, 100 times.
PRINTING = 'i=0; while [ "$i" -lt 100 ]; do echo "line $i"; i=$((i+1)); sleep 0.02; done'

MANY = 64


def workers(testbed: Testbed) -> list[psutil.Process]:
    """Return the workers that have a job of this testbed."""
    return [process for process in testbed.processes() if "launchd: worker" in command_line(process)]


def jobs_in_phase(testbed: Testbed, phase: str) -> list[str]:
    return [job["item_id"] for job in testbed.status()["jobs"] if job["phase"] == phase]


def test_after_sigterm_jobs_run_on_and_the_next_agent_has_them(testbed: Testbed, gate: Gate) -> None:
    item = testbed.push("sh", "-c", f"{PRINTING}; {gate.wait}")
    agent = testbed.start_agent()
    testbed.wait_running(item)
    assert agent.terminate() == 0
    assert workers(testbed) == []
    assert testbed.processes() != []

    testbed.start_agent()
    gate.open()
    (ended,) = testbed.wait_over([item])
    assert ended.state == "FINISHED"
    assert testbed.output(item) == "".join(f"line {number}\n" for number in range(100))
    assert testbed.status()["counters"]["adopted"] == 1


def test_a_job_that_ended_while_no_agent_ran_is_reported_by_the_next(testbed: Testbed, gate: Gate) -> None:
    item = testbed.push_waiting(gate)
    agent = testbed.start_agent()
    testbed.wait_running(item)
    agent.kill()
    gate.open()
    wait_until(lambda: not testbed.processes(), what="the job ended unseen")
    testbed.start_agent()
    (ended,) = testbed.wait_over([item])
    assert (ended.state, ended.exit_code) == ("FINISHED", 0)
    assert testbed.output(item) == "begun\nended\n"


def test_what_is_left_to_tell_is_told_although_the_queue_is_gone(testbed: Testbed, gate: Gate) -> None:
    """The agent is started again over two jobs; one ends by itself, the other is to be stopped."""
    ended, running = testbed.push_waiting(gate), testbed.push("sleep", "600")
    agent = testbed.start_agent()
    testbed.wait_running(ended, running)
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
    items = [testbed.push_waiting(gate) for _ in range(MANY)]
    wait_until(lambda: len(jobs_in_phase(testbed, "running")) == MANY, 30.0, "all jobs run")
    agent.kill()

    begun = time.monotonic()
    testbed.start_agent()
    wait_until(lambda: testbed.status()["counters"].get("adopted") == MANY, 30.0, "all jobs are adopted")
    print(f"{MANY} jobs adopted within {time.monotonic() - begun:.2f} s of the start")  # noqa: T201 - a figure for whoever looks
    gate.open()
    assert {item.state for item in testbed.wait_over(items)} == {"FINISHED"}
    assert {testbed.output(item) for item in items} == {"begun\nended\n"}
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
