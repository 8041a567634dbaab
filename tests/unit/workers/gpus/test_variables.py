"""What a job sees: variables for its GPUs alone, and the processors near them."""

import pytest

from ipc.gpus import AMD, Gpu, GpuRequest
from tests.support.gpus import a_gpu
from workers.docker.gpus import container_gpus
from workers.gpus.processors import near_processors, parse_processors
from workers.gpus.variables import gpu_variables

AMDS = a_gpu(0, uuid="GPU-amd", vendor=AMD, files=("/dev/kfd", "/dev/dri/renderD128"))


def test_the_variables_name_gpus_by_uuid() -> None:
    assert gpu_variables([a_gpu(1), a_gpu(0)]) == {
        "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
        "CUDA_VISIBLE_DEVICES": "GPU-1,GPU-0",
        "NVIDIA_VISIBLE_DEVICES": "GPU-1,GPU-0",
        "ROCR_VISIBLE_DEVICES": "-1",
    }
    assert gpu_variables([AMDS])["ROCR_VISIBLE_DEVICES"] == "GPU-amd"
    assert gpu_variables([AMDS])["CUDA_VISIBLE_DEVICES"] == "-1"


def test_without_gpus_they_name_none() -> None:
    variables = gpu_variables([])
    assert [variables[f"{name}_VISIBLE_DEVICES"] for name in ("CUDA", "NVIDIA", "ROCR")] == ["-1", "void", "-1"]


def test_a_container_gets_its_gpus_by_uuid() -> None:
    given = container_gpus([a_gpu(0), a_gpu(1)], GpuRequest(2, capabilities=("compute",)), [])
    assert given.device_requests == [{"DeviceIDs": ["GPU-0", "GPU-1"], "Capabilities": [["gpu", "compute"]]}]
    assert given.variables["NVIDIA_VISIBLE_DEVICES"] == "GPU-0,GPU-1"


def test_a_container_gets_its_gpus_by_cdi_where_the_engine_knows_all_of_them() -> None:
    names = ["nvidia.com/gpu=GPU-0", "nvidia.com/gpu=all"]
    given = container_gpus([a_gpu(0)], None, names)
    assert given.device_requests == [{"Driver": "cdi", "DeviceIDs": ["nvidia.com/gpu=GPU-0"]}]
    assert (given.variables["NVIDIA_VISIBLE_DEVICES"], given.variables["CUDA_VISIBLE_DEVICES"]) == ("void", "GPU-0")
    assert container_gpus([a_gpu(0), a_gpu(1)], None, names).device_requests[0]["DeviceIDs"] == ["GPU-0", "GPU-1"]


def test_a_container_gets_the_device_files_of_amds() -> None:
    given = container_gpus([AMDS], None, [])
    assert (given.device_requests, [device["PathOnHost"] for device in given.devices]) == (
        [],
        ["/dev/dri/renderD128", "/dev/kfd"],
    )


def test_a_container_without_gpus_gets_nothing() -> None:
    given = container_gpus([], None, ["nvidia.com/gpu=all"])
    assert (given.device_requests, given.devices, given.processors) == ([], [], None)


@pytest.mark.parametrize(
    ("gpus", "nodes", "processors"),
    [
        ([a_gpu(0, numa=0, processors="0-15")], 2, "0-15"),
        ([a_gpu(0, numa=0, processors="0-15"), a_gpu(1, numa=0, processors="0-15")], 2, "0-15"),
        ([a_gpu(0, numa=0, processors="0-15"), a_gpu(1, numa=1, processors="16-31")], 2, None),
        ([a_gpu(0, numa=0, processors="0-15"), a_gpu(1)], 2, None),
        ([a_gpu(0, numa=0, processors="0-15")], 1, None),
        ([], 2, None),
    ],
)
def test_the_processors_near_all_gpus_of_a_job(gpus: list[Gpu], nodes: int, processors: str | None) -> None:
    assert near_processors(gpus, nodes) == processors


def test_a_list_of_processors() -> None:
    assert parse_processors("0-2,8,10-11") == {0, 1, 2, 8, 10, 11}
    assert parse_processors("") == set()
