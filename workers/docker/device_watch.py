"""Tells when a running container has lost its GPUs: systemd may set the devices of its control group anew.

NVIDIA's runtime allows a container its GPUs behind the engine's back, so that a ``systemctl daemon-reload`` takes them
away again (nvidia-container-toolkit#48). What a process has opened goes on; what opens a GPU later is refused.
"""

import os
import stat
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from ipc.gpus import Gpu
from workers.docker.engine import Container, Engine, EngineError

#: Between two looks, in seconds.
LOOK_SECONDS = 60.0
#: How long a look from inside may take.
_ANSWER_SECONDS = 10.0

_V1_DEVICES = Path("/sys/fs/cgroup/devices")

#: Run in a container by version 2 of control groups, which shows no rules. What is not there says nothing.
_LOOK = 'test -e "$1" || exit 0; command exec 3<>"$1" || exit 33'
_REFUSED = 33


class DeviceWatch:
    """The device files of the ``gpus`` of one container."""

    def __init__(self, gpus: Sequence[Gpu]) -> None:
        self._gpus = [gpu for gpu in gpus if gpu.files]
        self._next_look = time.monotonic()
        self._message: str | None = None
        #: What the container's own user could open at an earlier look from inside.
        self._opened: frozenset[str] = frozenset()

    def loss(self, engine: Engine, container: Container) -> str | None:
        """Return, as a sentence, which GPUs a running container cannot open any more; looks seldom."""
        if self._gpus and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self._message = self._look(engine, container)
        return self._message

    def _look(self, engine: Engine, container: Container) -> str | None:
        files = sorted({path for gpu in self._gpus for path in gpu.files})
        refused = refused_files(engine, container, files)
        if refused is None:
            refused = self._refused_inside(engine, container, files)
        lost = [gpu.label for gpu in self._gpus if refused.intersection(gpu.files)]
        if not lost:
            return None
        which = f"GPU {lost[0]}" if len(lost) == 1 else f"GPUs {', '.join(lost)}"
        return (
            f"The container has lost its access to {which}: its device rules were set anew from outside, as by"
            " `systemctl daemon-reload`. What it has opened goes on; launch the job again where it fails."
        )

    def _refused_inside(self, engine: Engine, container: Container, files: Collection[str]) -> frozenset[str]:
        """Return which files the container's user cannot open any more; its shell is the job's, and tells no more."""
        try:
            refused = frozenset(path for path in files if _is_refused_inside(engine, container.id, path))
        except EngineError:
            # The container has ended meanwhile, say.
            return frozenset()
        self._opened |= frozenset(files) - refused
        return refused & self._opened


def refused_files(engine: Engine, container: Container, files: Collection[str]) -> frozenset[str] | None:
    """Return which device files a running container may not open by its rules; ``None`` where these are not shown."""
    # The process of an engine elsewhere is none of this host's.
    is_here = engine.socket_path is not None and container.state.pid
    group = dict(_groups_of(container.state.pid)).get("devices") if is_here else None
    if group is None:
        return None
    try:
        rules = (_V1_DEVICES / group / "devices.list").read_text().splitlines()
        return frozenset(path for path in files if not _is_allowed(path, rules))
    except OSError:
        # The container has ended meanwhile, say.
        return frozenset()


def _is_refused_inside(engine: Engine, container: str, path: str) -> bool:
    return engine.run_in(container, ["sh", "-c", _LOOK, "look", path], _ANSWER_SECONDS) == _REFUSED


def _groups_of(pid: int) -> Iterator[tuple[str, str]]:
    """Yield the control groups of a process: the path by each controller."""
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        yield from ((controller, path.lstrip("/")) for controller in controllers.split(","))


def _is_allowed(path: str, rules: Sequence[str]) -> bool:
    """Return whether a device may be read and written by the rules of version 1 (``c 195:0 rw``, ``a *:* rwm``)."""
    device = Path(path).stat()
    kind = "b" if stat.S_ISBLK(device.st_mode) else "c"
    numbers = (str(os.major(device.st_rdev)), str(os.minor(device.st_rdev)))
    return any(_matches(rule.split(), kind, numbers) for rule in rules)


def _matches(rule: Sequence[str], kind: str, numbers: tuple[str, str]) -> bool:
    rule_kind, rule_numbers, access = rule
    wanted = zip(rule_numbers.split(":"), numbers, strict=True)
    is_meant = rule_kind in {"a", kind} and all(one in {"*", number} for one, number in wanted)
    return is_meant and {"r", "w"} <= set(access)
