"""When an agent gives out the GPUs of its host."""

import pytest

from launchd.agent.gpus.host import why_unmanaged

NVIDIA, AMD = "/dev/nvidiactl", "/sys/class/kfd/kfd/topology/nodes"


@pytest.mark.parametrize(
    ("manage", "there", "nvml", "why"),
    [
        (None, set(), True, "no driver of GPUs is loaded there."),
        (None, {NVIDIA}, True, None),
        (None, {NVIDIA}, False, "it was installed without the extra gpu (requirements/gpu.lock)."),
        (None, {AMD}, False, None),
        (False, {NVIDIA, AMD}, True, "launchd.gpus.manage is false in its configuration."),
        (True, set(), False, None),
    ],
)
def test_it_does_where_a_driver_is_loaded_and_can_be_asked(
    manage: bool | None, there: set[str], nvml: bool, why: str | None
) -> None:
    assert why_unmanaged(manage, exists=there.__contains__, nvml=nvml) == why
