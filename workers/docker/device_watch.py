"""Tells when a running container has lost its GPUs: systemd may set the devices of its control group anew.

NVIDIA's runtime allows a container its GPUs behind the engine's back, so that a ``systemctl daemon-reload`` takes them
away again (nvidia-container-toolkit#48). What a process has opened goes on; what opens a GPU later is refused.
"""

import os
import shutil
import stat
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from ipc.gpus import Gpu

#: Between two looks, in seconds.
LOOK_SECONDS = 30.0
#: How long a look from inside may take.
_ANSWER_SECONDS = 10.0

_V1_DEVICES = Path("/sys/fs/cgroup/devices")
_V2_ROOT = Path("/sys/fs/cgroup")

#: Opens files from within a control group: what opens outside of it and not inside is refused by its rules.
_LOOK = """
group=$1; shift
for file; do command exec 3<>"$file" || exit 4; done
echo $$ >"$group/cgroup.procs" || exit 5
for file; do command exec 3<>"$file" || { echo "$file"; }; done
"""


class DeviceWatch:
    """The device files of the ``gpus`` of one container."""

    def __init__(self, gpus: Sequence[Gpu]) -> None:
        self._gpus = [gpu for gpu in gpus if gpu.files]
        self._next_look = 0.0
        self._message: str | None = None

    def loss(self, pid: int) -> str | None:
        """Return, as a sentence, which GPUs the container of process ``pid`` cannot open any more; looks seldom."""
        if self._gpus and pid and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            self._message = self._look(pid)
        return self._message

    def _look(self, pid: int) -> str | None:
        refused = refused_files(pid, sorted({path for gpu in self._gpus for path in gpu.files}))
        lost = [gpu.label for gpu in self._gpus if refused.intersection(gpu.files)]
        if not lost:
            return None
        which = f"GPU {lost[0]}" if len(lost) == 1 else f"GPUs {', '.join(lost)}"
        return (
            f"The container has lost its access to {which}: its device rules were set anew from outside, as by"
            " `systemctl daemon-reload`. What it has opened goes on; launch the job again where it fails."
        )


def refused_files(pid: int, files: Sequence[str]) -> frozenset[str]:
    """Return which device files the control group of process ``pid`` does not let it open; none where none can tell."""
    groups = dict(_groups_of(pid))
    try:
        if "devices" in groups:
            rules = (_V1_DEVICES / groups["devices"] / "devices.list").read_text().splitlines()
            return frozenset(path for path in files if not _is_allowed(path, rules))
        return _refused_inside(_V2_ROOT / groups[""], files) if "" in groups else frozenset()
    except OSError:
        # The container has ended meanwhile, or the agent may not look.
        return frozenset()


def _groups_of(pid: int) -> Iterator[tuple[str, str]]:
    """Yield the control groups of a process: the path by each controller, that of version 2 by an empty text."""
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


def _refused_inside(group: Path, files: Sequence[str]) -> frozenset[str]:
    """Return the files that a process in ``group`` cannot open; version 2 does not show its rules."""
    shell = shutil.which("sh") or "/bin/sh"
    command = [shell, "-c", _LOOK, "look", str(group), *files]
    try:
        look = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return frozenset()
    return frozenset(look.stdout.splitlines()).intersection(files)
