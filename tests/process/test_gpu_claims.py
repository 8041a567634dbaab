"""A real agent with GPUs at the queue server: it is leased what fits, as soon as it fits, and the rest says why not."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from launchd import Api, launch_add
from tests.support.gate import Gate
from tests.support.server import Account
from tests.support.testbed import QUEUE, Testbed, make_testbed
from tests.support.waiting import assert_stays, wait_until

GPUS = {"devices": ["GPU-a", "GPU-b"]}


@pytest.fixture
def testbed(tmp_path: Path, account: Account) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account, max_jobs=8, launchd={"gpus": GPUS}) as opened:
        yield opened


def push(testbed: Testbed, gpus: Any, *command: str) -> str:
    return testbed.push(*command, resource_args={"local-process": {"launchd": {"gpus": gpus}}})


def codes(testbed: Testbed, item: str) -> list[str]:
    found = testbed.client.why(item)
    assert found is not None
    return [reason.code for reason in found.why]


def test_what_does_not_fit_stays_in_the_queue_and_what_fits_passes_it(testbed: Testbed, gate: Gate) -> None:
    testbed.start_agent()
    holding = push(testbed, 1, "sh", "-c", gate.wait)
    wait_until(lambda: testbed.phase(holding) == "running", what="one GPU is taken")
    large, small, plain = push(testbed, "all", "true"), push(testbed, 1, "true"), testbed.push("true")
    assert [item.state for item in testbed.wait_over([small, plain])] == ["FINISHED", "FINISHED"]
    wait_until(lambda: codes(testbed, large) == ["PASSED", "GPUS_BUSY"], what="the server knows what is free")
    assert_stays(lambda: testbed.item(large).state == "PENDING", 0.3, "the item in the queue")
    assert testbed.status()["gpus"]["waiting"] == 0
    gate.open()
    assert [item.state for item in testbed.wait_over([holding, large])] == ["FINISHED", "FINISHED"]


def test_what_no_host_could_ever_fit_says_so(testbed: Testbed) -> None:
    testbed.start_agent()
    item = push(testbed, 3, "true")
    wait_until(lambda: codes(testbed, item) == ["FITS_NO_AGENT"], what="the server knows what there is")


def test_an_item_is_started_as_soon_as_its_gpu_is_free(testbed: Testbed, tmp_path: Path) -> None:
    """The claim that waits was for what was free before; without a word of the agent it would wait on."""
    testbed.start_agent()
    gates = [Gate(tmp_path / str(number)) for number in range(2)]
    holding = [push(testbed, 1, "sh", "-c", gate.wait) for gate in gates]
    for item in holding:
        wait_until(lambda item=item: testbed.phase(item) == "running", what="all GPUs are taken")
    waiting = push(testbed, 1, "true")
    assert_stays(lambda: testbed.item(waiting).state == "PENDING", 0.5, "the item in the queue")
    began = time.monotonic()
    gates[0].open()
    testbed.wait_over([holding[0], waiting])
    assert time.monotonic() - began < 10
    gates[1].open()
    testbed.wait_over(holding)


def test_who_waits_for_what_no_agent_could_ever_take_is_told(
    testbed: Testbed, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    testbed.start_agent()
    wait_until(lambda: testbed.client.agents(testbed.entity) != [], what="the agent is known")
    args = {"resource_args": {"local-process": {"launchd": {"gpus": 3}}}, "resource": "local-process"}
    command = [sys.executable, "-m", "launchd", "launch", "-q", QUEUE, "-c", json.dumps(args), "--", "true"]
    environ = os.environ | {"WANDB_BASE_URL": testbed.server.url, "WANDB_API_KEY": testbed.server.key}
    said = tmp_path / "said"
    with said.open("w") as file:
        waiting = subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=file, stderr=file)
    sentence = "It asks for 3 GPUs, which no living agent of queue 'default' could ever give it"
    try:
        wait_until(lambda: f"{sentence}: host " in said.read_text(), 60, "the command says so")
    finally:
        waiting.send_signal(signal.SIGINT)
        waiting.wait(30)
    assert said.read_text().count(sentence) == 1

    with closing(Api(base_url=testbed.server.url, api_key=testbed.server.key)) as api:
        queued = launch_add(entry_point=["true"], queue_name=QUEUE, api=api, **args)
        with pytest.raises(TimeoutError, match="it is queued"):
            queued.wait_until_finished(8)
        queued.stop()
    assert sentence in caplog.text
