"""What runs in the machine of ``tests/parts/vm``: the agent as its unit has it, and jobs that try its limits.

Prints a line for each check, ``OK NAME`` or ``FAILED NAME: why``, and ``DONE`` after the last.
"""

import os
import signal
import subprocess
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from benchmarks.real_cuts.guest import URL, key, say, start_server
from launchd.agent.control.client import ControlError, ask
from launchd.client.queue_server import Item, QueueServer
from tests.support.testbed import OVER

#: Everything takes long under emulation, in seconds.
PATIENCE = 240.0
RUNTIME = Path("/run/launch-agent")
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
BOMB = "bomb() { bomb | bomb & }; bomb; sleep 3600"
#: A job of root that tries to reach further than its unit; it succeeds where each attempt is refused.
ESCAPES = """
for path in /root/x /var/spool/cron/x /run/systemd/system/x.service /etc/cron.d/x /usr/bin/x; do
    if touch "$path" 2>/dev/null; then echo "wrote $path"; exit 1; fi
done
if systemctl start systemd-tmpfiles-clean.service 2>/dev/null; then echo started a unit; exit 2; fi
if busctl --no-pager list >/dev/null 2>&1; then echo reached the bus; exit 3; fi
"""


class Host:
    """The host, and the queue server that it also runs."""

    def __init__(self) -> None:
        self.client = QueueServer(URL, key())
        for queue in ("default", "rooted"):
            if self.client.queue("me", queue) is None:
                self.client.create_queue("me", queue)

    def push(self, script: str, queue: str = "default", **limits: Any) -> str:
        spec = {
            "entity": "me",
            "project": "limits",
            "resource": "local-process",
            "overrides": {"entry_point": ["sh", "-c", script]},
            "resource_args": {"local-process": limits},
        }
        return self.client.push("me", queue, spec)

    def item(self, item_id: str) -> Item:
        found = self.client.item(item_id)
        assert found is not None
        return found

    def wait_over(self, item_id: str) -> Item:
        wait(lambda: self.item(item_id).state in OVER, f"the end of {item_id}")
        return self.item(item_id)

    def status(self) -> dict[str, Any]:
        with suppress(ControlError):
            status: dict[str, Any] = ask(RUNTIME, {"command": "status"})["status"]
            return status
        return {}

    def job(self, item_id: str) -> dict[str, Any]:
        with suppress(ControlError):
            return dict(ask(RUNTIME, {"command": "job", "item": item_id}).get("job") or {})
        return {}

    def wait_running(self, item_id: str, processes: int) -> Path:
        """Wait until the job has that many processes; returns its control group."""
        wait(lambda: self.job(item_id).get("phase") == "running", f"{item_id} runs")
        group = Path(self.status()["control_groups"]["root"], self.job(item_id)["workload_name"])
        wait(lambda: len(members(group)) >= processes, f"{item_id} has {processes} processes")
        return group

    def stop(self, item_id: str) -> Item:
        ask(RUNTIME, {"command": "stop", "item": item_id, "reason": "of the test"})
        return self.wait_over(item_id)


def members(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def wait(predicate: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {PATIENCE:g} s")
        time.sleep(0.2)


def systemctl(*words: str) -> None:
    subprocess.run(["systemctl", *words], check=True)


def expect(item: Item, state: str, words: str = "") -> None:
    assert item.state == state, (item.state, item.message)
    assert words in (item.message or ""), item.message


def check_everything_is_held(host: Host) -> None:
    assert host.status()["control_groups"]["shortcoming"] is None, host.status()["control_groups"]


def check_memory(host: Host) -> None:
    item = host.push("tail /dev/zero")
    expect(host.wait_over(item), "FAILED", "used more memory than its limit of 128 MiB")
    [ended] = [job for job in host.status()["recent"] if job["item_id"] == item]
    assert 100 << 20 < ended["peak_memory_bytes"] <= 129 << 20, ended
    assert ended["cpu_seconds"] > 0, ended


def check_own_limits(host: Host) -> None:
    expect(host.wait_over(host.push("tail /dev/zero", memory="32 MiB")), "FAILED", "its limit of 32 MiB")
    refused = host.wait_over(host.push("true", memory="1 GiB"))
    expect(refused, "FAILED", "asks for 1 GiB of memory; this host grants a job 128 MiB")
    within = "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 3600 & done; wait"
    expect(host.wait_over(host.push(within, processes=8)), "FAILED")


def check_fork_bomb(host: Host) -> None:
    item = host.push(BOMB)
    group = host.wait_running(item, 20)
    expect(host.stop(item), "STOPPED")
    wait(lambda: not group.exists(), "the group is removed")


def check_restart_with_living_jobs(host: Host) -> None:
    item = host.push(FLED, memory="64 MiB", processors=0.5)
    group = host.wait_running(item, 3)
    before = sorted(members(group))
    systemctl("restart", "launch-agent")
    wait(lambda: host.job(item).get("worker_pid"), "the job is adopted")
    assert sorted(members(group)) == before, (before, members(group))
    assert (group / "memory.max").read_text().strip() == str(64 << 20)
    assert (group / "cpu.max").read_text().split() == ["50000", "100000"]
    assert (group / "memory.swap.max").read_text().strip() == "0" if (group / "memory.swap.max").exists() else True
    # Limits hold for jobs of the new agent too.
    expect(host.wait_over(host.push("tail /dev/zero", memory="16 MiB")), "FAILED", "its limit of 16 MiB")
    expect(host.stop(item), "STOPPED")
    wait(lambda: not group.exists(), "the group is removed")
    assert [pid for pid in before if Path(f"/proc/{pid}").exists()] == []


def check_monitors_killed(host: Host) -> None:
    item = host.push(FLED)
    group = host.wait_running(item, 3)
    processes = members(group)
    systemctl("kill", "--signal=KILL", "--kill-who=all", "launch-agent")
    for pid in members(group.parent / "shims"):
        os.kill(pid, signal.SIGKILL)
    expect(host.wait_over(item), "FAILED", "ended without noting how the job ended")
    wait(lambda: not any(Path(f"/proc/{pid}").exists() for pid in processes), "all of the job is gone")


def check_escapes_of_root(host: Host) -> None:
    expect(host.wait_over(host.push(ESCAPES, queue="rooted")), "FINISHED")


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
    wait(lambda: host.status().get("agent", {}).get("id"), "the agent is registered")
    for check in CHECKS:
        _run(check, host)
    systemctl("stop", "launch-agent")
    server.terminate()
    server.wait()
    say("DONE")


def _run(check: Callable[[Host], None], host: Host) -> None:
    name = check.__name__.removeprefix("check_")
    started = time.monotonic()
    try:
        check(host)
    except Exception as error:  # noqa: BLE001 (the next check may still say something)
        traceback.print_exc()
        say(f"FAILED {name}: {error}")
        subprocess.run(["journalctl", "--no-pager", "-n", "25", "-u", "launch-agent"], check=False)
    else:
        say(f"OK {name} {time.monotonic() - started:.0f}s")


if __name__ == "__main__":
    main()
