"""Containers and GPUs, on a real engine: one that knows no GPUs, as on a host where they are only listed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.test_containers import ended, output, push, settings
from tests.support.engine import TestEngine
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until

pytestmark = pytest.mark.engine


@pytest.fixture
def testbed(tmp_path: Path, account: Account, engine: TestEngine) -> Iterator[Testbed]:
    ours = settings(engine, {}) | {"gpus": {"devices": ["GPU-a", "GPU-b"]}}
    with make_testbed(tmp_path, account, max_jobs=4, launchd=ours) as opened:
        yield opened
    engine.remove_containers()


def test_a_container_that_asks_for_none_sees_none_and_an_engine_without_gpus_says_so(testbed: Testbed) -> None:
    testbed.start_agent()
    none = push(testbed, "sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES $CUDA_VISIBLE_DEVICES", env="CUDA_VISIBLE_DEVICES=0")
    one = push(testbed, "true", gpus="device=GPU-b")

    (state, _), (other, message) = ended(testbed, none, one)

    assert (state, output(testbed, none)) == ("FINISHED", "void -1\n")
    assert other == "FAILED"
    # The engine was asked for a device, which it does not have.
    assert "could not select device driver" in message
    wait_until(lambda: all(gpu["item_id"] is None for gpu in testbed.status()["gpus"]["gpus"]), what="it is free again")
