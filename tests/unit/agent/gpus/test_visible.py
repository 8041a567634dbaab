"""An agent that is started with `CUDA_VISIBLE_DEVICES` has these GPUs, and no others."""

import pytest

from ipc.gpus import AMD
from launchd.agent.gpus.visible import visible
from tests.support.gpus import a_gpu, an_instance

GPUS = [a_gpu(0), a_gpu(1), an_instance(2, 0), an_instance(2, 1), a_gpu(0, uuid="GPU-amd", vendor=AMD)]
AMDS = ["GPU-amd"]


@pytest.mark.parametrize(
    ("value", "uuids"),
    [
        (None, ["GPU-0", "GPU-1", "MIG-2-0", "MIG-2-1"]),
        ("1", ["GPU-1"]),
        ("1,0", ["GPU-0", "GPU-1"]),
        ("GPU-1", ["GPU-1"]),
        ("GPU-2", ["MIG-2-0", "MIG-2-1"]),
        ("MIG-2-1", ["MIG-2-1"]),
        ("2:0", ["MIG-2-0"]),
        ("", []),
        ("-1", []),
        # As with CUDA: what follows the first name of no GPU does not count.
        ("0,9,1", ["GPU-0"]),
    ],
    ids=repr,
)
def test_which_are_visible(value: str | None, uuids: list[str]) -> None:
    environ = {} if value is None else {"CUDA_VISIBLE_DEVICES": value}
    assert [gpu.uuid for gpu in visible(GPUS, environ)] == uuids + AMDS


def test_amds_have_a_variable_of_their_own() -> None:
    assert [gpu.uuid for gpu in visible(GPUS, {"ROCR_VISIBLE_DEVICES": "-1", "CUDA_VISIBLE_DEVICES": "0"})] == ["GPU-0"]
