"""Queue servers for the threads that speak to one, both kinds on real sockets; and a job controller without them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from launchd.agent.server_link import requeue, retry
from launchd.client.queue_server import QueueServer
from tests.support.controller_harness import ControllerHarness
from tests.support.recorded_events import RecordedEvents
from tests.support.server import Api, RunningServer
from tests.support.wandb_server import WandbServer, wandb_server

#: How long a client waits for an answer: a request that a busy machine delays must not be repeated. For servers that
#: hang, `test_wandb_faults` has a client of its own.
PATIENCE_SECONDS = 10.0


@pytest.fixture
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the pauses between retries grow from a hundredth of a second, and the long ones be as short."""
    for name in ("FIRST_PAUSE_SECONDS", "MISCONFIGURED_PAUSE_SECONDS"):
        monkeypatch.setattr(retry, name, 0.01)
    monkeypatch.setattr(retry, "LONGEST_MISCONFIGURED_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(requeue, "REQUEUE_RETRY_SECONDS", 0.05)


@pytest.fixture
def recorded_events() -> RecordedEvents:
    return RecordedEvents()


@pytest.fixture
def wandb() -> Iterator[WandbServer]:
    with wandb_server("a", "b") as server:
        yield server


@pytest.fixture
def wandb_client(wandb: WandbServer) -> Iterator[QueueServer]:
    client = QueueServer(wandb.url, wandb.key, timeout=PATIENCE_SECONDS)
    yield client
    client.close()


@pytest.fixture
def native(queue_server: RunningServer) -> RunningServer:
    return queue_server


@pytest.fixture
def api(native: RunningServer) -> Iterator[Api]:
    with native.api() as opened:
        yield opened


@pytest.fixture
def client(native: RunningServer) -> Iterator[QueueServer]:
    opened = QueueServer(native.url, native.key)
    yield opened
    opened.close()


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[ControllerHarness]:
    made = ControllerHarness(tmp_path)
    yield made
    made.close()
