"""Which of the free GPUs a job gets: near each other, and as little as will do."""

import pytest

from ipc.gpus import AMD, GpuRequest
from launchd.agent.gpus.choice import choose
from tests.support.gpus import GIB, a_gpu, an_instance, linked

EIGHT = linked([a_gpu(index, numa=index // 4) for index in range(8)], range(4), range(4, 8))
#: Pairs by NVLink across the order of indexes, as on hosts with bridges.
PAIRS = linked([a_gpu(index) for index in range(4)], (0, 2), (1, 3))


def indexes(free: list, request: GpuRequest) -> list[int] | None:  # type: ignore[type-arg]
    chosen = choose(free, request)
    return None if chosen is None else [gpu.index for gpu in chosen]


def test_gpus_of_one_job_are_linked() -> None:
    assert indexes(PAIRS, GpuRequest(2)) == [0, 2]
    assert indexes(PAIRS[1:], GpuRequest(2)) == [1, 3]
    assert indexes(EIGHT[2:], GpuRequest(4)) == [4, 5, 6, 7]


def test_gpus_of_one_job_are_at_one_node_of_memory_where_nothing_links_them() -> None:
    gpus = [a_gpu(index, numa=index % 2) for index in range(4)]
    assert indexes(gpus, GpuRequest(2)) == [0, 2]


def test_a_job_of_one_tears_no_linked_gpus_apart() -> None:
    # 0 is alone in its group: taking it leaves the other group whole.
    assert indexes([EIGHT[5], EIGHT[0], *EIGHT[6:]], GpuRequest(1)) == [0]


def test_a_job_of_one_takes_the_smallest_that_will_do() -> None:
    free = [a_gpu(0), a_gpu(1, 24), an_instance(2, 0), an_instance(2, 1, 20)]
    assert choose(free, GpuRequest(1)) == (free[2],)
    assert choose(free, GpuRequest(1, memory=15 * GIB)) == (free[3],)
    assert choose(free, GpuRequest(1, memory=22 * GIB)) == (free[1],)
    assert choose(free, GpuRequest(1, memory=90 * GIB)) is None


def test_a_job_of_several_gets_whole_gpus_only() -> None:
    free = [an_instance(0, 0), an_instance(0, 1), a_gpu(1)]
    assert choose(free, GpuRequest(2)) is None
    assert choose([*free, a_gpu(2)], GpuRequest(2)) == (a_gpu(1), a_gpu(2))
    # Named, or all of them, they are what was asked for.
    assert choose(free, GpuRequest(2, ("0:0", "MIG-0-1"))) == (free[0], free[1])
    assert choose(free, GpuRequest(None)) == tuple(free)


def test_gpus_of_two_vendors_are_of_no_use_to_one_job() -> None:
    free = [a_gpu(0), a_gpu(0, uuid="GPU-amd", vendor=AMD)]
    assert choose(free, GpuRequest(2)) is None
    assert choose([*free, a_gpu(1)], GpuRequest(2)) == (a_gpu(0), a_gpu(1))


@pytest.mark.parametrize(
    ("devices", "chosen"), [(("1",), [1]), (("GPU-3", "0"), [3, 0]), (("0", "GPU-0"), None), (("9",), None)]
)
def test_named_devices_or_none(devices: tuple[str, ...], chosen: list[int] | None) -> None:
    assert indexes(EIGHT, GpuRequest(len(devices), devices)) == chosen


def test_gpus_that_are_alike_before_others() -> None:
    free = [a_gpu(0, name="A100"), a_gpu(1, name="H100"), a_gpu(2, name="A100")]
    assert indexes(free, GpuRequest(2)) == [0, 2]
