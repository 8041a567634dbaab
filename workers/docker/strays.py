"""Processes of containers that their engine does not know of: an engine that is killed in a start may forget it.

They are found by their control group, whose path has the container's id. Owns no judgement about containers.
"""

import signal
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from workers.processes import key_of, send_signal

#: How long ended processes may take to be gone, in seconds.
END_SECONDS = 5.0
_PAUSE_SECONDS = 0.05
#: What podman runs beside a container, in a group with the container's id.
_MONITOR = "conmon"


def processes_of(containers: Collection[str]) -> dict[str, tuple[int, ...]]:
    """Return the ids of the processes of these containers, by the id of the container; without those that have none."""
    found: dict[str, list[int]] = {}
    for pid in _all_pids():
        container = next((one for one in _containers_of(pid) if one in containers), None)
        # What has ended and was not waited for stays in its group.
        if container is not None and key_of(pid) is not None:
            found.setdefault(container, []).append(pid)
    return {container: tuple(pids) for container, pids in found.items()}


def end(container: str) -> tuple[int, ...]:
    """Kill the processes of a container; returns those that are still there, which another user may own."""
    deadline = time.monotonic() + END_SECONDS
    while pids := processes_of([container]).get(container, ()):
        for pid in pids:
            _kill(pid, container)
        if time.monotonic() > deadline:
            return pids
        time.sleep(_PAUSE_SECONDS)
    return ()


def _kill(pid: int, container: str) -> None:
    key = key_of(pid)
    # The number may be another process's by now.
    if key is not None and container in _containers_of(pid):
        with suppress(PermissionError):
            send_signal(key, signal.SIGKILL)


def _all_pids() -> Iterator[int]:
    yield from (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _containers_of(pid: int) -> set[str]:
    """Return the last words of the control groups of a process, one of which is the id of its container."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return set()
    parts = {part.removesuffix(".scope") for line in lines for part in line.split(":", 2)[-1].split("/")}
    return {part.rpartition("-")[2] for part in parts if _MONITOR not in part}
