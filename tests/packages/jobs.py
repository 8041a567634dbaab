"""Jobs of an installed agent, launched, watched and ended on its machine."""

import json
from typing import Any

from tests.packages.machine import Shell
from tests.support.waiting import wait_until

AGENT, SERVER = "launch-agent.service", "launch-agent-server.service"
CONFIG = "/etc/launch-agent/launch-config.yaml"

#: A job that says who it is, writes a line now and then until /tmp/end is there, and ends with code 7.
LONG_JOB = "echo $$; i=0; while [ ! -e /tmp/end ]; do echo line $i; i=$((i+1)); sleep 0.1; done; echo last $i; exit 7"


def status(machine: Shell) -> dict[str, Any]:
    agent: dict[str, Any] = json.loads(machine.says("launchd status --json"))["agent"]
    return agent


def launch(machine: Shell, script: str, options: str = "") -> str:
    """Start a job without waiting for it; returns its item."""
    return machine.run(f'launchd launch --async {options} -- sh -c "$(cat)"', stdin=script).stdout.split()[-1]


def begin(machine: Shell) -> tuple[str, tuple[str, str]]:
    """Start a long job; returns its item, and its process with the time of its start."""
    item = launch(machine, LONG_JOB)
    wait_until(lambda: output(machine, item)[1:], 30.0, "the job ran")
    pid = output(machine, item)[0]
    return item, (pid, machine.says(f"cut -d' ' -f22 /proc/{pid}/stat"))


def run_job(machine: Shell, command: str) -> list[str]:
    """Run a job to its end; returns what it printed."""
    return output(machine, machine.says(f"launchd launch -- {command}").split()[1])


def output(machine: Shell, item: str) -> list[str]:
    return machine.run(f"launchd logs {item}", check=False).stdout.splitlines()


def end(machine: Shell, item: str, process: tuple[str, str]) -> None:
    """Let the job end; it has to be the same process, with a complete output, and its exit code reported."""
    pid, begun = process
    assert machine.says(f"cut -d' ' -f22 /proc/{pid}/stat") == begun
    machine.run("touch /tmp/end")
    assert_ended_whole(machine, item, pid)


def assert_ended_whole(machine: Shell, item: str, pid: str) -> None:
    """Wait for the end of a long job; its output has to be complete, and its exit code reported."""
    wait_until(lambda: output(machine, item)[-1].startswith("last "), 30.0, "the job had ended")
    first, *lines, last = output(machine, item)
    assert (first, lines) == (pid, [f"line {number}" for number in range(int(last.split()[1]))])
    wait_until(lambda: f"{item}  failed" in reported(machine, item), 30.0, "the outcome was reported")
    assert "exit code 7" in reported(machine, item)


def reported(machine: Shell, item: str) -> str:
    """Return what the queue server shows of an item."""
    listed = machine.says("launchd queue show default").splitlines()
    return next((line for line in listed if item in line), "")
