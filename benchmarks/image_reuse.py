"""The image of a job that was built before: how long the decision to build nothing takes, beside a question for it."""

import http.client
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.table import Figure, milliseconds, percentile
from launchd.agent.measures import BUILDS, PHASE_SECONDS
from launchd.metrics.model import Family, Metric
from tests.support.engine import BASE_IMAGE, TestEngine, running_engine
from tests.support.git_origin import Origin
from tests.support.registries import TestRegistry, running_registry
from tests.support.testbed import Testbed, make_testbed
from workers.registries.distribution import MANIFEST_TYPES

ROUNDS = 30
#: Of the job's repository: a hundred modules of a usual size.
FILES, FILE_BYTES = 100, 4096
_REPOSITORY = "team/images"
_TARGET_SECONDS = 0.3


def measure(directory: Path, _jobs: int) -> list[Figure]:
    """Return the times in which jobs with an unchanged repository learn that their image is there; needs root."""
    with (
        running_engine() as engine,
        running_registry(directory / "registry") as registry,
        make_testbed(directory, max_jobs=4, launchd=_settings(engine)) as testbed,
    ):
        builder = {"type": "docker", "destination": f"{registry.name}/{_REPOSITORY}"}
        testbed.configure(max_jobs=4, launchd=_settings(engine), builder=builder)
        testbed.start_agent()
        bed = _Bed(testbed, registry, _repository(directory / "origin"))
        bed.run_job()
        try:
            return _figures(bed)
        finally:
            _remove_images(engine)


def _settings(engine: TestEngine) -> dict[str, Any]:
    return {
        "docker": {"host": engine.address},
        "policy": {"resources": ["local-container"], "allow_local_git": True},
        "supervision": {},
    }


def _repository(path: Path) -> Origin:
    origin = Origin(path)
    for number in range(FILES):
        (path / f"module{number}.py").write_text(f"# {number}\n".ljust(FILE_BYTES, "#"))
    (path / "Dockerfile.wandb").write_text(f"FROM {BASE_IMAGE}\nCOPY . /job\n")
    origin.commit("# trains")
    return origin


def _remove_images(engine: TestEngine) -> None:
    with engine.client() as client:
        for found in client.images(filters={"label": "launchd.built"}):
            client.remove_image(found["Id"], force=True)


def _figures(bed: "_Bed") -> list[Figure]:
    ours, plain = [], []
    for _ in range(ROUNDS):
        plain.append(bed.ask_registry())
        before = bed.building_seconds()
        bed.run_job()
        ours.append(bed.building_seconds() - before)
    builds = bed.builds("built") - 1
    is_reused = builds == 0 and bed.builds("reused") == ROUNDS
    return [
        Figure(
            f"build of an unchanged job of {FILES} files, {ROUNDS} times",
            f"{builds:g} builds; {milliseconds(ours)}",
            "0 builds, p50 ≤ 300 ms",
            f"HEAD of the manifest: {milliseconds(plain)}",
            is_reused and percentile(ours, 50) <= _TARGET_SECONDS,
        )
    ]


class _Bed:
    """An agent with a builder and a registry, and a repository that does not change."""

    def __init__(self, testbed: Testbed, registry: TestRegistry, origin: Origin) -> None:
        self._testbed = testbed
        self._registry = registry
        self._origin = origin

    def run_job(self) -> None:
        """Run a job with the repository to its end."""
        item = self._testbed.push("true", resource="local-container", git={"repo": str(self._origin.path)})
        [over] = self._testbed.wait_over([item])
        assert over.state == "FINISHED", over.message

    def ask_registry(self) -> float:
        """Return the seconds of a question for the manifest, by a connection of its own."""
        [tag] = self._registry.tags(_REPOSITORY)
        began = time.perf_counter()
        with closing(http.client.HTTPConnection(self._registry.name)) as connection:
            path = f"/v2/{_REPOSITORY}/manifests/{tag}"
            connection.request("HEAD", path, headers={"Accept": ", ".join(MANIFEST_TYPES)})
            assert connection.getresponse().status == http.client.OK
        return time.perf_counter() - began

    def building_seconds(self) -> float:
        """Return the seconds that jobs of the agent were building, all together."""
        return next((one.sum for one in self._family(PHASE_SECONDS).distributions if one.labels == ("building",)), 0.0)

    def builds(self, result: str) -> float:
        """Return how many images were ``built``, or ``reused``."""
        return next((one.value for one in self._family(BUILDS).samples if one.labels == ("image", result)), 0.0)

    def _family(self, metric: Metric) -> Family:
        families = msgspec.convert(self._testbed.ask(command="metrics")["metrics"], list[Family])
        return next(family for family in families if family.metric.name == metric.name)
