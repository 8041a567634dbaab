"""What runs in the machine of ``tests/parts/vm`` once the packages are installed there, by the packages' own Python.

``launch``        jobs that exceed their limits, jobs that end, and jobs that run when the power is cut
``ends ITEM ...`` after the next boot: how each of these items has ended

``OK NAME``, ``FAILED NAME: why``  a check
``RUN NUMBER``                     a job runs (printed by itself, on the console)
``PUSHED NUMBER ITEM``             the queue server has taken a job
``ENDED ITEM STATE MESSAGE``       the queue server shows this outcome
``CUT``                            cut the power now
"""

import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from launchd.agent.control.client import ControlError, ask
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import Item, QueueServer

URL, KEY = "http://127.0.0.1:8780", Path("/var/lib/launch-agent-server/admin.key")
AGENT, SERVER = "launch-agent.service", "launch-agent-server.service"
RUNTIME = Path("/run/launch-agent")
CONSOLE = Path("/dev/ttyS0")

#: Item states after which nothing more happens.
OVER = {"FINISHED", "FAILED", "STOPPED", "PREEMPTED"}

#: Everything takes long under emulation, in seconds.
PATIENCE = 1500.0

BOMB = "bomb() { bomb | bomb & }; bomb; sleep 3600"
JOB = f'echo "RUN $1" > {CONSOLE}; sleep "$2"; exit "$3"'

#: By their numbers: how long a job sleeps, and its exit code. Two end before the cut; the next four, as many as the
#: example configuration takes at a time, run when it comes; the last two wait then.
ENDING = {0: (0, 0), 1: (0, 7)}
RUNNING = {2: (3600, 0), 3: (3600, 0), 4: (3600, 0), 5: (3600, 0)}
WAITING = {6: (0, 0), 7: (0, 9)}


class Host:
    """The host with both services."""

    def __init__(self) -> None:
        self.client = QueueServer(URL, KEY.read_text().strip())

    def push(self, *command: str) -> str:
        spec = {
            "entity": "admin",
            "project": "power",
            "resource": "local-process",
            "overrides": {"entry_point": list(command)},
        }
        return self.client.push("admin", "default", spec)

    def item(self, item_id: str) -> Item:
        found = self.client.item(item_id)
        assert found is not None
        return found

    def wait_over(self, item_id: str) -> Item:
        wait(lambda: self.item(item_id).state in OVER, f"the end of {item_id}")
        return self.item(item_id)

    def jobs(self) -> list[dict[str, Any]]:
        with suppress(ControlError):
            return list(ask(RUNTIME, {"command": "status"})["status"]["jobs"])
        return []


def wait(predicate: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not _holds(predicate):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {PATIENCE:g} s")
        time.sleep(0.3)


def _holds(predicate: Callable[[], Any]) -> bool:
    """The queue server may still be starting."""
    with suppress(QueueServerError):
        return bool(predicate())
    return False


def unit(name: str, value: str) -> str:
    command = ("systemctl", "show", "--value", f"--property={value}", name)
    return subprocess.check_output(command, text=True).strip()


def check_memory_of_a_job(host: Host) -> None:
    before = unit(AGENT, "MainPID")
    ended = host.wait_over(host.push("tail", "/dev/zero"))
    assert (ended.state, "used more memory than its limit of 64 MiB" in (ended.message or "")) == ("FAILED", True), (
        ended
    )
    assert (unit(AGENT, "MainPID"), unit(AGENT, "ActiveState")) == (before, "active")


def check_fork_bomb(host: Host) -> None:
    before = unit(AGENT, "MainPID")
    item = host.push("sh", "-c", BOMB)
    wait(lambda: any(len(members(group)) >= 20 for group in groups()), "the bomb fills its group")
    assert max(len(members(group)) for group in groups()) <= 40
    ask(RUNTIME, {"command": "stop", "item": item, "reason": "of the test"})
    assert host.wait_over(item).state == "STOPPED"
    wait(lambda: not groups(), "the group is removed")
    assert unit(AGENT, "MainPID") == before


def check_services_came_up(host: Host) -> None:
    wait(lambda: host.client.queue("admin", "default"), "the queue server answers")
    wait(lambda: unit(AGENT, "ActiveState") == "active", "the agent is up")
    assert [unit(name, "NRestarts") for name in (AGENT, SERVER)] == ["0", "0"]


def groups() -> list[Path]:
    """Return the control groups of jobs."""
    root = ask(RUNTIME, {"command": "status"})["status"]["control_groups"]["root"]
    return list(Path(root).glob("launchd-*"))


def members(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def launch(host: Host) -> None:
    run(check_services_came_up, host)
    run(check_memory_of_a_job, host)
    run(check_fork_bomb, host)
    for ended in [push_numbered(host, number, *values) for number, values in ENDING.items()]:
        tell(host, ended)
    for number, values in (RUNNING | WAITING).items():
        push_numbered(host, number, *values)
    wait(lambda: [job["phase"] for job in host.jobs()] == ["running"] * len(RUNNING), "jobs run")
    say("CUT")
    time.sleep(PATIENCE)


def push_numbered(host: Host, number: int, seconds: int, code: int) -> str:
    item = host.push("sh", "-c", JOB, "job", str(number), str(seconds), str(code))
    say(f"PUSHED {number} {item}")
    return item


def tell(host: Host, item_id: str) -> None:
    ended = host.wait_over(item_id)
    say(f"ENDED {item_id} {ended.state} {ended.exit_code} {ended.message}")


def ends(host: Host, items: list[str]) -> None:
    run(check_services_came_up, host)
    run(lambda host: tell_all(host, items), host, "ends")


def tell_all(host: Host, items: list[str]) -> None:
    for item_id in items:
        tell(host, item_id)


def run(check: Callable[[Host], None], host: Host, name: str = "") -> None:
    name = name or check.__name__.removeprefix("check_")
    try:
        check(host)
    except Exception as error:  # noqa: BLE001 (the next check may still say something)
        traceback.print_exc()
        say(f"FAILED {name}: {error}")
        subprocess.run(["journalctl", "--no-pager", "-n", "60", "-u", AGENT, "-u", SERVER], check=False)
    else:
        say(f"OK {name}")


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(what: str, items: list[str]) -> None:
    # Jobs say on the console that they run.
    CONSOLE.chmod(0o666)
    host = Host()
    if what == "launch":
        launch(host)
    else:
        ends(host, items)
    say("DONE")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
