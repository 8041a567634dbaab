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
from functools import partial
from pathlib import Path

from launchd.client.queue_server import QueueServer
from tests.support.guest_host import BOMB, GuestHost, members, say, try_out

URL, KEY = "http://127.0.0.1:8780", Path("/var/lib/launch-agent-server/admin.key")
AGENT, SERVER = "launch-agent.service", "launch-agent-server.service"
CONSOLE = Path("/dev/ttyS0")

#: Everything takes long under emulation, in seconds.
PATIENCE = 1500.0

JOB = f'echo "RUN $1" > {CONSOLE}; sleep "$2"; exit "$3"'

#: By their numbers: how long a job sleeps, and its exit code. Two end before the cut; the next four, as many as the
#: example configuration takes at a time, run when it comes; the last two wait then.
ENDING = {0: (0, 0), 1: (0, 7)}
RUNNING = {2: (3600, 0), 3: (3600, 0), 4: (3600, 0), 5: (3600, 0)}
WAITING = {6: (0, 0), 7: (0, 9)}


def unit(name: str, value: str) -> str:
    command = ("systemctl", "show", "--value", f"--property={value}", name)
    return subprocess.check_output(command, text=True).strip()


def check_memory_of_a_job(host: GuestHost) -> None:
    before = unit(AGENT, "MainPID")
    ended = host.wait_over(host.push("tail", "/dev/zero"))
    assert (ended.state, "used more memory than its limit of 64 MiB" in (ended.message or "")) == ("FAILED", True), (
        ended
    )
    assert (unit(AGENT, "MainPID"), unit(AGENT, "ActiveState")) == (before, "active")


def check_fork_bomb(host: GuestHost) -> None:
    before = unit(AGENT, "MainPID")
    item = host.push("sh", "-c", BOMB)
    host.wait(lambda: any(len(members(group)) >= 20 for group in groups(host)), "the bomb fills its group")
    assert max(len(members(group)) for group in groups(host)) <= 40
    assert host.stop(item).state == "STOPPED"
    host.wait(lambda: not groups(host), "the group is removed")
    assert unit(AGENT, "MainPID") == before


def check_services_came_up(host: GuestHost) -> None:
    host.wait(lambda: host.client.queue("admin", "default"), "the queue server answers")
    host.wait(lambda: unit(AGENT, "ActiveState") == "active", "the agent is up")
    assert [unit(name, "NRestarts") for name in (AGENT, SERVER)] == ["0", "0"]


def groups(host: GuestHost) -> list[Path]:
    """Return the control groups of jobs."""
    root = host.status()["control_groups"]["root"]
    return list(Path(root).glob("launchd-*"))


def launch(host: GuestHost) -> None:
    for check in (check_services_came_up, check_memory_of_a_job, check_fork_bomb):
        try_out(check.__name__.removeprefix("check_"), partial(check, host), (AGENT, SERVER))
    for ended in [push_numbered(host, number, *values) for number, values in ENDING.items()]:
        tell(host, ended)
    for number, values in (RUNNING | WAITING).items():
        push_numbered(host, number, *values)
    host.wait(lambda: [job["phase"] for job in host.status().get("jobs", ())] == ["running"] * len(RUNNING), "jobs run")
    say("CUT")
    time.sleep(PATIENCE)


def push_numbered(host: GuestHost, number: int, seconds: int, code: int) -> str:
    item = host.push("sh", "-c", JOB, "job", str(number), str(seconds), str(code))
    say(f"PUSHED {number} {item}")
    return item


def tell(host: GuestHost, item_id: str) -> None:
    ended = host.wait_over(item_id)
    say(f"ENDED {item_id} {ended.state} {ended.exit_code} {ended.message}")


def ends(host: GuestHost, items: list[str]) -> None:
    try_out("services_came_up", partial(check_services_came_up, host), (AGENT, SERVER))
    try_out("ends", partial(tell_all, host, items), (AGENT, SERVER))


def tell_all(host: GuestHost, items: list[str]) -> None:
    for item_id in items:
        tell(host, item_id)


def main(what: str, items: list[str]) -> None:
    # Jobs say on the console that they run.
    CONSOLE.chmod(0o666)
    host = GuestHost(QueueServer(URL, KEY.read_text().strip()), "admin", PATIENCE)
    if what == "launch":
        launch(host)
    else:
        ends(host, items)
    say("DONE")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
