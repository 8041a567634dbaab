"""Agents that give out GPUs: over a real journal, with a clock and a probe of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from launchd.config.model import GpusConfig
from tests.support.controller_harness import ControllerHarness
from tests.unit.agent.gpus.jobs import FOUR


@pytest.fixture
def static(tmp_path: Path) -> Iterator[ControllerHarness]:
    """An agent with a list of four GPUs in its configuration."""
    harness = ControllerHarness(tmp_path, GpusConfig(devices=FOUR))
    yield harness
    harness.close()


@pytest.fixture
def probed(tmp_path: Path) -> Iterator[ControllerHarness]:
    """An agent with a probe, which has seen nothing yet."""
    harness = ControllerHarness(tmp_path, GpusConfig())
    yield harness
    harness.close()
