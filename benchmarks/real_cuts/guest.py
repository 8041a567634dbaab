"""What runs in the machine: a queue server, an agent and jobs; what happens is printed, one line each.

``PUSHED NUMBER ITEM``         the queue server has taken a job
``RUN NUMBER``                 a job runs (printed by itself, on the console)
``ENDED ITEM {...}``           the queue server shows this outcome, as JSON
``CUT``                        cut the power now
``PROBLEM TEXT``               the agent or the queue server has ended, or a job has not ended in time

A machine that has been cut goes on with the files that are left, at its next boot.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random

import requests

from launchd.agent.control.client import ControlError
from launchd.client.errors import QueueServerError
from tests.support.guest_host import OVER
from tests.support.server import Account
from tests.support.testbed import AgentProcess, Testbed

DIRECTORY = Path("/var/lib/real-cuts")
PORT = 8080
URL = f"http://127.0.0.1:{PORT}"
CONSOLE = "/dev/ttyS0"

#: Python runs some ten times slower in the machine than outside.
START_SECONDS = 240.0
END_SECONDS = 400.0

#: The longest time from the agent's first job in this boot to the cut, in seconds.
LONGEST_BEFORE_CUT = 15.0

JOB = f'echo "RUN $1" > {CONSOLE}; sleep "$2"; exit "$3"'


def main() -> None:
    """Run one boot."""
    arguments = _arguments()
    random = Random(arguments.seed)
    server = start_server()
    testbed = Testbed(DIRECTORY, Account(URL, key(), "me"), max_jobs=4, launchd={"supervision": {"wait_seconds": 5.0}})
    agent = testbed.agent = AgentProcess(testbed, {})
    say("STARTED")
    items = [*arguments.items, *_push(testbed, random, arguments.first, arguments.jobs)]
    if arguments.cut:
        cut_at = time.monotonic() + _until_cut(testbed, random)
    deadline = time.monotonic() + END_SECONDS
    for item_id in _ended(testbed, items):
        if item_id is None and arguments.cut and time.monotonic() > cut_at:
            say("CUT")
            time.sleep(END_SECONDS)
        if server.poll() is not None or agent.exit_code() is not None or time.monotonic() > deadline:
            say(f"PROBLEM server {server.poll()}, agent {agent.exit_code()}, {time.monotonic() - deadline:.0f} s")
            break
    agent.terminate()
    server.terminate()
    server.wait()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed")
    parser.add_argument("--cut", action="store_true")
    parser.add_argument("--first", type=int)
    parser.add_argument("--jobs", type=int)
    parser.add_argument("items", nargs="*")
    return parser.parse_args()


def start_server() -> subprocess.Popen[bytes]:
    """Start the queue server and wait until it answers."""
    DIRECTORY.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "launchd.server", "--data-dir", str(DIRECTORY / "server"), "--port", str(PORT)]
    with (DIRECTORY / "server.log").open("ab") as log:
        server = subprocess.Popen([*command, "--entity", "me"], stdout=log, stderr=log)
    deadline = time.monotonic() + START_SECONDS
    while not _answers() and time.monotonic() < deadline:
        time.sleep(0.2)
    return server


def _answers() -> bool:
    with suppress(requests.RequestException):
        return requests.get(URL, timeout=30).status_code < 500
    return False


def key() -> str:
    """Return the key of the server's administrator."""
    return (DIRECTORY / "server" / "admin.key").read_text().strip()


def _push(testbed: Testbed, random: Random, first: int, jobs: int) -> list[str]:
    items = []
    for number in range(first, first + jobs):
        # An odd job fails with its number; the host knows that, too.
        seconds = f"{random.uniform(0, 6):.1f}"
        code = str(number % 100 if number % 2 else 0)
        items.append(testbed.push("sh", "-c", JOB, "job", str(number), seconds, code))
        say(f"PUSHED {number} {items[-1]}")
    return items


def _until_cut(testbed: Testbed, random: Random) -> float:
    """Wait until the agent has a job; return after how many seconds the power is to be cut."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(ControlError):
            if testbed.status()["jobs"]:
                break
        time.sleep(0.1)
    return random.uniform(0, LONGEST_BEFORE_CUT)


def _ended(testbed: Testbed, items: list[str]) -> Iterator[str | None]:
    """Yield each item that has ended, once, and ``None`` after each look; ends when all have."""
    left = list(items)
    while left:
        for item_id in list(left):
            with suppress(QueueServerError):
                item = testbed.client.item(item_id)
                outcome = item and {"state": item.state, "exit_code": item.exit_code, "message": item.message}
                if item is None or item.state in OVER:
                    left.remove(item_id)
                    say(f"ENDED {item_id} {json.dumps(outcome)}")
                    yield item_id
        yield None
        time.sleep(0.3)


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


if __name__ == "__main__":
    main()
