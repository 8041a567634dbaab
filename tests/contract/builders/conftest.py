"""A registry with a base image, and makers of images over the real buildah."""

import os
import secrets
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ipc.messages import Event
from ipc.run_spec import RunSpec
from ipc.settings import NUMBERS_PER_BUILD, BuildahConfig, RegistryAccess, RegistryConfig, UserNumbers
from ipc.work_order import JobUser, WorkOrder
from tests.support.job_contexts import Heard
from tests.support.orders import an_order
from tests.support.registries import Buildah, TestRegistry, require, running_registry
from workers import processes
from workers.context import JobContext
from workers.images import ImagePlan

#: Who builds: the agent's own user, root of a namespace, or root of a namespace for a job with a user of its own.
OWN, NAMESPACE, ISOLATED = "own", "namespace", "isolated"
MODES = (OWN, NAMESPACE, ISOLATED) if os.geteuid() == 0 else (OWN,)


def open_directory() -> Iterator[Path]:
    """Make a directory that other users may enter, and remove it with all that users of builds have in it."""
    path = Path(tempfile.mkdtemp(prefix="launchd-builds-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        as_owner = ("rm", "-rf", str(path))
        subprocess.run(as_owner if os.geteuid() == 0 else ("buildah", "unshare", *as_owner), check=True)


@pytest.fixture(scope="module")
def open_place() -> Iterator[Path]:
    """A directory that other users may enter, unlike pytest's own."""
    yield from open_directory()


@pytest.fixture(scope="module")
def registry(open_place: Path) -> Iterator[TestRegistry]:
    """A plain registry with the image ``base:1``."""
    require("docker-registry", "buildah")
    with running_registry(open_place / "registry") as running:
        Buildah(open_place / "by-hand").push_base(f"{running.name}/base:1")
        yield running


@pytest.fixture
def by_hand(open_place: Path) -> Buildah:
    return Buildah(open_place / "by-hand")


class Workplace:
    """The state directory of an agent, and orders of its jobs."""

    def __init__(self, directory: Path, mode: str, registry: TestRegistry) -> None:
        self.directory = directory
        self.mode = mode
        self.registry = registry
        self.heard = Heard()
        # Of these tests alone, whatever else runs on the machine.
        first = 1_000_000 + NUMBERS_PER_BUILD * secrets.randbelow(15_000)
        self.numbers = UserNumbers(first, first + NUMBERS_PER_BUILD - 1)

    @property
    def storage(self) -> Path:
        return self.directory / "state" / "buildah"

    def order(self, name: str = "launchd-0123456789abcdef-1", **changes: Any) -> WorkOrder:
        """Return an order; ``buildah`` and ``access`` are changes of these settings."""
        config = {"user_numbers": None if self.mode == OWN else self.numbers, **changes.pop("buildah", {})}
        access = {"docker_config": str(self.directory / "config.json"), **changes.pop("access", {})}
        values: dict[str, Any] = {
            "spec": RunSpec(entity="ada", project="engine", run_id="run1", resource="local-container"),
            "registry": RegistryConfig("plain", f"{self.registry.name}/team/x"),
            "buildah": BuildahConfig(**config),
            "registry_access": RegistryAccess(**access),
            "user": JobUser(64000, 64000, "/nonexistent") if self.mode == ISOLATED else None,
        }
        return an_order(self.directory / "state" / "jobs" / name, name, **values | changes)

    def context(self, send: Callable[[Event], None] | None = None, **changes: Any) -> JobContext:
        order = self.order(**changes)
        Path(order.directory).mkdir(parents=True, exist_ok=True)
        return JobContext(order, "key1", send or self.heard.append)

    def plan(self, dockerfile: str, tag: str, **changes: Any) -> ImagePlan:
        """Return a plan of a project with one file; ``FROM base`` is the base image."""
        tree = self.directory / f"context-{tag}"
        tree.mkdir(mode=0o700, exist_ok=True)
        (tree / "hello.txt").write_text("hello")
        path = tree / "Dockerfile.wandb"
        path.write_text(dockerfile.replace("FROM base", f"FROM {self.registry.name}/base:1"))
        plan = ImagePlan(f"{self.registry.name}/team/x:{tag}-{self.mode}", tree, path, self.directory / "build.log")
        return msgspec.structs.replace(plan, **changes)

    def left(self) -> list[str]:
        """Return what a build has left and should not have: processes, mounts, files, containers."""
        found = [f"process {pid}" for pid in processes.of_users(self.numbers.numbers)]
        mounts = Path("/proc/self/mountinfo").read_text()
        found += ["a mount"] if str(self.storage) in mounts else []
        found += [path.name for path in self.storage.glob("*.files")]
        for seat in self.storage.glob("[0-9]"):
            found += [str(path) for path in (seat / "tmp").glob("*") if not path.name.startswith("buildah-cache")]
            for listed in (seat / "storage").glob("*-containers/containers.json"):
                found += [str(listed)] if msgspec.json.decode(listed.read_bytes()) else []
            if self.mode == ISOLATED:
                found += [str(path) for path in seat.iterdir()]
        return found


@pytest.fixture(params=MODES)
def workplace(request: pytest.FixtureRequest, registry: TestRegistry) -> Iterator[Workplace]:
    for path in open_directory():
        yield Workplace(path, request.param, registry)
