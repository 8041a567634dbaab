"""When a container cannot open its devices any more: by the rules of version 1, and as seen from within a group."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from ipc.gpus import Gpu
from tests.support.parts import missing_part
from workers.docker import device_watch
from workers.docker.device_watch import DeviceWatch, refused_files

V1, V2 = Path("/sys/fs/cgroup/devices"), Path("/sys/fs/cgroup/unified")
NULL = Gpu("GPU-null", index=3, files=("/dev/null",))


def make_group(root: Path) -> Iterator[tuple[Path, int]]:
    """Yield a control group of its own with a process in it, by its id."""
    if not (root / "cgroup.procs").exists():
        missing_part(f"control groups at {root}")
    group = root / f"launchd-test-{uuid4().hex[:8]}"
    group.mkdir()
    process = subprocess.Popen(["sleep", "600"])
    try:
        (group / "cgroup.procs").write_text(str(process.pid))
        yield group, process.pid
    finally:
        process.kill()
        process.wait()
        group.rmdir()


@pytest.fixture
def v1_group() -> Iterator[tuple[Path, int]]:
    yield from make_group(V1)


@pytest.fixture
def v2_group() -> Iterator[tuple[Path, int]]:
    yield from make_group(V2)


@pytest.mark.root
def test_a_device_whose_rule_is_gone_is_noticed(v1_group: tuple[Path, int], monkeypatch: pytest.MonkeyPatch) -> None:
    group, pid = v1_group
    watch = DeviceWatch([NULL, Gpu("GPU-unknown")])
    assert watch.loss(pid) is None
    (group / "devices.deny").write_text("a")
    (group / "devices.allow").write_text("c 1:5 rwm")
    # It is looked again only after a time.
    assert watch.loss(pid) is None
    monkeypatch.setattr(device_watch, "LOOK_SECONDS", 0.0)
    watch = DeviceWatch([NULL])
    assert (watch.loss(pid) or "").startswith("The container has lost its access to GPU 3: ")
    assert refused_files(pid, ["/dev/null", "/dev/zero"]) == {"/dev/null"}
    (group / "devices.allow").write_text("c 1:* rw")
    assert watch.loss(pid) is None


@pytest.mark.root
def test_a_group_of_version_2_is_looked_at_from_within(v2_group: tuple[Path, int]) -> None:
    group, pid = v2_group
    assert device_watch._refused_inside(group, ["/dev/null", "/dev/zero"]) == frozenset()
    assert (group / "cgroup.procs").read_text().split() == [str(pid)]
    # What cannot be opened outside either, or a group that is gone, says nothing.
    assert device_watch._refused_inside(group, ["/dev/launchd-missing"]) == frozenset()
    assert device_watch._refused_inside(group / "gone", ["/dev/null"]) == frozenset()


def test_what_cannot_be_looked_at_is_not_lost() -> None:
    assert refused_files(2**22 + 1, ["/dev/null"]) == frozenset()
    assert refused_files(os.getpid(), ["/dev/launchd-missing"]) == frozenset()
    assert DeviceWatch([Gpu("GPU-unknown")]).loss(os.getpid()) is None


@pytest.mark.parametrize(
    ("rules", "is_allowed"),
    [
        (["a *:* rwm"], True),
        (["c 1:3 rwm"], True),
        (["c 1:* rw"], True),
        (["c 1:3 m"], False),
        (["b 1:3 rwm", "c 1:5 rwm"], False),
        ([], False),
    ],
)
def test_rules(rules: list[str], is_allowed: bool) -> None:
    assert device_watch._is_allowed("/dev/null", rules) is is_allowed
