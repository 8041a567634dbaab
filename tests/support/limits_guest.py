"""What runs in the machine of ``tests/parts/vm``: the agent as its unit has it, and jobs that try its limits.

Prints a line for each check, ``OK NAME`` or ``FAILED NAME: why``, and ``DONE`` after the last.
"""

import os
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from benchmarks.real_cuts.guest import URL, key, start_server
from launchd.agent.control.client import ControlError, ask
from launchd.client.queue_server import Item, QueueServer
from tests.support.guest_host import BOMB, RUNTIME, GuestHost, members, say, try_out

#: Everything takes long under emulation, in seconds.
PATIENCE = 240.0
GROUPS = Path("/sys/fs/cgroup/system.slice/launch-agent-jobs.service")

CONFIG = {
    "entity": "me",
    "queues": ["default", "rooted"],
    "max_jobs": 4,
    "launchd": {
        "base_url": URL,
        "api_key_file": "/etc/launch-agent/api.key",
        "jobs": {"limits": {"memory": "128 MiB", "processors": 1, "processes": 40}, "stop_grace_seconds": 2},
        "policy": {"run_as_user": "jobs", "queues": {"rooted": {"run_as_user": "root", "allow_root_jobs": True}}},
    },
}

#: A process of another session, with no environment and no parent of the job's, beside the one that stays.
FLED = "(setsid env -i sleep 3600 >/dev/null 2>&1 &) ; sleep 3600"
#: A job of root that tries to reach further than its unit; it succeeds where each attempt is refused.
ESCAPES = """
for path in /root/x /var/spool/cron/x /run/systemd/system/x.service /etc/cron.d/x /usr/bin/x; do
    if touch "$path" 2>/dev/null; then echo "wrote $path"; exit 1; fi
done
if systemctl start systemd-tmpfiles-clean.service 2>/dev/null; then echo started a unit; exit 2; fi
if busctl --no-pager list >/dev/null 2>&1; then echo reached the bus; exit 3; fi
"""


class Host(GuestHost):
    """The host, and the queue server that it also runs."""

    def __init__(self) -> None:
        super().__init__(QueueServer(URL, key()), "me", PATIENCE)
        for queue in ("default", "rooted"):
            if self.client.queue("me", queue) is None:
                self.client.create_queue("me", queue)

    def run(self, script: str, queue: str = "default", **limits: Any) -> str:
        """Push a job of the script; returns its item."""
        return self.push("sh", "-c", script, queue=queue, **limits)

    def job(self, item_id: str) -> dict[str, Any]:
        with suppress(ControlError):
            return dict(ask(RUNTIME, {"command": "job", "item": item_id}).get("job") or {})
        return {}

    def wait_running(self, item_id: str, processes: int) -> Path:
        """Wait until the job has that many processes; returns its control group."""
        self.wait(lambda: self.job(item_id).get("phase") == "running", f"{item_id} runs")
        group = Path(self.status()["control_groups"]["root"], self.job(item_id)["workload_name"])
        self.wait(lambda: len(members(group)) >= processes, f"{item_id} has {processes} processes")
        return group


def systemctl(*words: str) -> None:
    subprocess.run(["systemctl", *words], check=True)


def expect(item: Item, state: str, words: str = "") -> None:
    assert item.state == state, (item.state, item.message)
    assert words in (item.message or ""), item.message


def check_everything_is_held(host: Host) -> None:
    assert host.status()["control_groups"]["shortcoming"] is None, host.status()["control_groups"]


def check_memory(host: Host) -> None:
    item = host.run("tail /dev/zero")
    expect(host.wait_over(item), "FAILED", "used more memory than its limit of 128 MiB")
    [ended] = [job for job in host.status()["recent"] if job["item_id"] == item]
    assert 100 << 20 < ended["peak_memory_bytes"] <= 129 << 20, ended
    assert ended["cpu_seconds"] > 0, ended


def check_own_limits(host: Host) -> None:
    expect(host.wait_over(host.run("tail /dev/zero", memory="32 MiB")), "FAILED", "its limit of 32 MiB")
    refused = host.wait_over(host.run("true", memory="1 GiB"))
    expect(refused, "FAILED", "asks for 1 GiB of memory; this host grants a job 128 MiB")
    within = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 3600 & done; wait"
    expect(host.wait_over(host.run(within, processes=8)), "FAILED")


def check_fork_bomb(host: Host) -> None:
    item = host.run(BOMB)
    group = host.wait_running(item, 20)
    expect(host.stop(item), "STOPPED")
    host.wait(lambda: not group.exists(), "the group is removed")


def check_restart_with_living_jobs(host: Host) -> None:
    item = host.run(FLED, memory="64 MiB", processors=0.5)
    group = host.wait_running(item, 3)
    before = sorted(members(group))
    systemctl("restart", "launch-agent")
    host.wait(lambda: host.job(item).get("worker_pid"), "the job is adopted")
    assert sorted(members(group)) == before, (before, members(group))
    assert (group / "memory.max").read_text().strip() == str(64 << 20)
    assert (group / "cpu.max").read_text().split() == ["50000", "100000"]
    assert (group / "memory.swap.max").read_text().strip() == "0" if (group / "memory.swap.max").exists() else True
    # Limits hold for jobs of the new agent too.
    expect(host.wait_over(host.run("tail /dev/zero", memory="16 MiB")), "FAILED", "its limit of 16 MiB")
    expect(host.stop(item), "STOPPED")
    host.wait(lambda: not group.exists(), "the group is removed")
    assert [pid for pid in before if Path(f"/proc/{pid}").exists()] == []


def check_monitors_killed(host: Host) -> None:
    item = host.run(FLED)
    group = host.wait_running(item, 3)
    processes = members(group)
    systemctl("kill", "--signal=KILL", "--kill-who=all", "launch-agent")
    for pid in members(group.parent / "shims"):
        os.kill(pid, signal.SIGKILL)
    expect(host.wait_over(item), "FAILED", "ended without noting how the job ended")
    host.wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), "all of the job is gone")


def check_escapes_of_root(host: Host) -> None:
    expect(host.wait_over(host.run(ESCAPES, queue="rooted")), "FINISHED")


CHECKS: tuple[Callable[[Host], None], ...] = (
    check_everything_is_held,
    check_restart_with_living_jobs,
    check_memory,
    check_own_limits,
    check_fork_bomb,
    check_escapes_of_root,
    check_monitors_killed,
)


def main() -> None:
    """Run all checks."""
    server = start_server()
    host = Host()
    Path("/etc/launch-agent").mkdir(exist_ok=True)
    Path("/etc/launch-agent/api.key").write_text(key())
    Path("/etc/launch-agent/launch-config.yaml").write_text(yaml.safe_dump(CONFIG))
    subprocess.run(["useradd", "--system", "--create-home", "jobs"], check=True)
    systemctl("start", "launch-agent")
    host.wait(lambda: host.status().get("agent", {}).get("id"), "the agent is registered")
    for check in CHECKS:
        try_out(check.__name__.removeprefix("check_"), partial(check, host), ("launch-agent",))
    systemctl("stop", "launch-agent")
    server.terminate()
    server.wait()
    say("DONE")


if __name__ == "__main__":
    main()
