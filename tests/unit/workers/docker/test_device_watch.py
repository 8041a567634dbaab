"""When a container cannot open its devices any more, by the rules of its control group (version 1)."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from ipc.gpus import Gpu
from tests.support.parts import missing_part
from workers.docker import device_watch
from workers.docker.device_watch import DeviceWatch, refused_files
from workers.docker.engine import Container, ContainerState, Engine

V1 = Path("/sys/fs/cgroup/devices")
NULL = Gpu("GPU-null", index=3, files=("/dev/null",))
ENGINE = Engine("unix:///nothing/listens/here.sock")


@pytest.fixture
def group() -> Iterator[tuple[Path, Container]]:
    """A control group of version 1 with a process in it, as that of a container."""
    if not (V1 / "cgroup.procs").exists():
        missing_part(f"control groups of version 1 at {V1}")
    group = V1 / f"launchd-test-{uuid4().hex[:8]}"
    group.mkdir()
    process = subprocess.Popen(["sleep", "600"])
    try:
        (group / "cgroup.procs").write_text(str(process.pid))
        yield group, container_of(process.pid)
    finally:
        process.kill()
        process.wait()
        group.rmdir()


def container_of(pid: int) -> Container:
    return Container("c", ContainerState("running", pid=pid))


@pytest.mark.root
def test_a_device_whose_rule_is_gone_is_noticed(group: tuple[Path, Container], monkeypatch: pytest.MonkeyPatch) -> None:
    directory, container = group
    watch = DeviceWatch([NULL, Gpu("GPU-unknown")])
    assert watch.loss(ENGINE, container) is None
    (directory / "devices.deny").write_text("a")
    (directory / "devices.allow").write_text("c 1:5 rwm")
    # It is looked again only after a time.
    assert watch.loss(ENGINE, container) is None
    monkeypatch.setattr(device_watch, "LOOK_SECONDS", 0.0)
    watch = DeviceWatch([NULL])
    assert (watch.loss(ENGINE, container) or "").startswith("The container has lost its access to GPU 3: ")
    assert refused_files(ENGINE, container, ["/dev/null", "/dev/zero"]) == {"/dev/null"}
    (directory / "devices.allow").write_text("c 1:* rw")
    assert watch.loss(ENGINE, container) is None


def test_what_is_not_known_is_not_looked_at() -> None:
    assert DeviceWatch([Gpu("GPU-unknown")]).loss(ENGINE, container_of(1)) is None


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
