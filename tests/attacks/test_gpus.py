"""Nothing that a submitter writes gives a container GPUs of other jobs, or any where it has none."""

from pathlib import Path
from typing import Any

import pytest

from ipc.gpus import Gpu
from ipc.run_spec import RunSpec
from ipc.work_order import WorkOrder
from tests.support.gpus import a_gpu
from workers.builders import Build
from workers.docker.container import Placement, container_config
from workers.docker.flags import translate
from workers.docker.gpus import container_gpus
from workers.runners import LaunchRequest

ATTEMPTS: list[dict[str, Any]] = [
    {"env": ["NVIDIA_VISIBLE_DEVICES=all", "CUDA_VISIBLE_DEVICES=0,1", "ROCR_VISIBLE_DEVICES=0"]},
    {"gpus": "all"},
    {"--gpus": "device=GPU-other"},
    {"gpus": "all", "runtime": "nvidia"},
]


def config_of(args: dict[str, Any], gpus: tuple[Gpu, ...]) -> dict[str, Any]:
    spec = RunSpec("me", "p", "run", "local-container", {"local-container": args})
    order = WorkOrder("name", "item", "q", "me", 1, "http://server", spec, "/x", gpus=gpus, gpu_lease=3)
    request = translate(args)
    variables = dict(text.split("=", 1) for text in request.variables)
    launch = LaunchRequest("name", (), {"CUDA_VISIBLE_DEVICES": "7"}, Path("/x"), Build(image="image"))
    placed = Placement("agent", variables, gpus=container_gpus(gpus, None, []))
    return container_config(request, launch, order, placed)


def variables_of(config: dict[str, Any]) -> dict[str, str]:
    return {
        name: value for name, _, value in (text.partition("=") for text in config["Env"]) if "VISIBLE_DEVICES" in name
    }


@pytest.mark.parametrize("args", ATTEMPTS, ids=str)
def test_a_container_without_gpus_gets_none(args: dict[str, Any]) -> None:
    config = config_of(args, ())
    assert "DeviceRequests" not in config["HostConfig"]
    assert variables_of(config) == {
        "CUDA_VISIBLE_DEVICES": "-1",
        "NVIDIA_VISIBLE_DEVICES": "void",
        "ROCR_VISIBLE_DEVICES": "-1",
    }


@pytest.mark.parametrize("args", ATTEMPTS, ids=str)
def test_a_container_gets_the_gpus_of_its_lease_alone(args: dict[str, Any]) -> None:
    config = config_of(args, (a_gpu(1),))
    assert config["HostConfig"]["DeviceRequests"] == [{"DeviceIDs": ["GPU-1"], "Capabilities": [["gpu"]]}]
    assert variables_of(config)["NVIDIA_VISIBLE_DEVICES"] == variables_of(config)["CUDA_VISIBLE_DEVICES"] == "GPU-1"
    assert config["Labels"]["launchd.gpu-lease"] == "3"
