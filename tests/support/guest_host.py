"""A host with a queue server and an agent, for what runs on that host itself (``tests/parts/vm``).

Needs launchd alone, and may be copied to a host that has nothing else.
"""

import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from launchd.agent.control.client import ControlError, ask
from launchd.client.errors import QueueServerError
from launchd.client.queue_server import Item, QueueServer

#: Item states after which nothing more happens.
OVER = {"FINISHED", "FAILED", "STOPPED", "PREEMPTED"}

RUNTIME = Path("/run/launch-agent")

BOMB = "bomb() { bomb | bomb & }; bomb; sleep 3600"

#: For the agent's unit: under emulation a start takes minutes.
PATIENT_UNIT = "[Service]\nTimeoutStartSec=infinity\nTimeoutStopSec=300\nWatchdogSec=0\n"


class GuestHost:
    """The host: what it is asked to run for an entity, and what becomes of that within ``patience`` seconds."""

    def __init__(self, client: QueueServer, entity: str, patience: float) -> None:
        self.client = client
        self._entity = entity
        self._patience = patience

    def push(self, *command: str, queue: str = "default", **limits: Any) -> str:
        """Push a job of the command, which asks for these limits; returns its item."""
        spec = {
            "entity": self._entity,
            "project": "guest",
            "resource": "local-process",
            "overrides": {"entry_point": list(command)},
            "resource_args": {"local-process": limits},
        }
        return self.client.push(self._entity, queue, spec)

    def item(self, item_id: str) -> Item:
        found = self.client.item(item_id)
        assert found is not None
        return found

    def wait_over(self, item_id: str) -> Item:
        self.wait(lambda: self.item(item_id).state in OVER, f"the end of {item_id}")
        return self.item(item_id)

    def stop(self, item_id: str) -> Item:
        ask(RUNTIME, {"command": "stop", "item": item_id, "reason": "of the test"})
        return self.wait_over(item_id)

    def status(self) -> dict[str, Any]:
        """Return what the agent says of itself; nothing where it does not answer."""
        with suppress(ControlError):
            status: dict[str, Any] = ask(RUNTIME, {"command": "status"})["status"]
            return status
        return {}

    def wait(self, predicate: Callable[[], Any], what: str) -> None:
        deadline = time.monotonic() + self._patience
        while not _holds(predicate):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what}: not within {self._patience:g} s")
            time.sleep(0.2)


def _holds(predicate: Callable[[], Any]) -> bool:
    """Tell whether it holds; the queue server may still be starting."""
    with suppress(QueueServerError):
        return bool(predicate())
    return False


def members(group: Path) -> list[int]:
    """Return the processes of a control group; none where it is gone."""
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def try_out(name: str, check: Callable[[], None], units: Iterable[str]) -> None:
    """Run a check and say how it went; with what these units have said, where it failed."""
    started = time.monotonic()
    try:
        check()
    except Exception as error:  # noqa: BLE001 (the next check may still say something)
        traceback.print_exc()
        say(f"FAILED {name}: {error}")
        of_units = [word for unit in units for word in ("-u", unit)]
        subprocess.run(["journalctl", "--no-pager", "-n", "60", *of_units], check=False)
    else:
        say(f"OK {name} {time.monotonic() - started:.0f}s")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
