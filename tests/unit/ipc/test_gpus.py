"""What jobs ask for, in Docker's words; what an agent tells of its host's GPUs."""

from typing import Any

import pytest

from ipc.errors import InvalidSpec
from ipc.gpus import GpuKind, GpuRequest, GpuSummary, gpu_request
from ipc.run_spec import RunSpec

GIB = 1 << 30


def asked(value: Any, resource: str = "local-container", **section: Any) -> GpuRequest | None:
    args: dict[str, Any] = {"gpus": value} if resource == "local-container" else {"launchd": {"gpus": value}}
    if section:
        args["launchd"] = args.get("launchd", {}) | section
    return gpu_request(RunSpec("me", "p", "run", resource, {resource: args}))


@pytest.mark.parametrize("resource", ["local-container", "local-process"])
@pytest.mark.parametrize(
    ("value", "request_"),
    [
        (1, GpuRequest(1)),
        ("2", GpuRequest(2)),
        (2.0, GpuRequest(2)),
        (["2"], GpuRequest(2)),
        ("count=3,driver=nvidia", GpuRequest(3)),
        ("all", GpuRequest(None)),
        ("count=all", GpuRequest(None)),
        (-1, GpuRequest(None)),
        ("device=nvidia.com/gpu=all", GpuRequest(None)),
        ("device=0", GpuRequest(1, ("0",))),
        ('"device=0,GPU-1"', GpuRequest(2, ("0", "GPU-1"))),
        ("device=0,GPU-1,driver=nvidia", GpuRequest(2, ("0", "GPU-1"))),
        ("device=nvidia.com/gpu=0:1", GpuRequest(1, ("0:1",))),
        ('driver=nvidia,"capabilities=gpu,compute,utility"', GpuRequest(1, capabilities=("compute", "utility"))),
        (0, None),
        ("count=0", None),
        (None, None),
        (False, None),
        ("", None),
        ([], None),
    ],
    ids=repr,
)
def test_what_is_asked_for(value: Any, request_: GpuRequest | None, resource: str) -> None:
    assert asked(value, resource) == request_


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (True, "neither a number nor text"),
        ({}, "neither a number nor text"),
        (1.5, "neither a number nor text"),
        (["0", "1"], "neither a number nor text"),
        ("many", 'must be a number of GPUs up to 4096, or "all"'),
        (-2, "must be a number of GPUs"),
        ("99999", "must be a number of GPUs"),
        ("1,1", "once each"),
        ("options=x", "once each, and no other key"),
        ("device=", "by its index or UUID"),
        ("device=0,0", "name each device once"),
        ("device=a b", "by its index or UUID"),
        ("count=1,device=0", "either a count or devices"),
        ("driver=other", "must name a driver of nvidia, amd, cdi"),
        ("1\n2", "one line"),
    ],
    ids=repr,
)
def test_what_cannot_be_read_is_refused_by_its_key(value: Any, why: str) -> None:
    with pytest.raises(InvalidSpec, match=r"resource_args.local-container.gpus in the run spec") as refused:
        asked(value)
    assert why in refused.value.message


@pytest.mark.parametrize("key", ["gpus", "--gpus", "GPUS", " gpus "])
def test_the_flag_is_read_however_it_is_written(key: str) -> None:
    spec = RunSpec("me", "p", "run", "local-container", {"local-container": {key: 2}})
    assert gpu_request(spec) == GpuRequest(2)


def test_the_memory_that_each_must_have() -> None:
    assert asked(2, gpu_memory="40 GiB") == GpuRequest(2, memory=40 * GIB)
    assert asked(2, "local-process", gpu_memory=GIB) == GpuRequest(2, memory=GIB)
    with pytest.raises(InvalidSpec, match=r"launchd.gpu_memory in the run spec must be a number of bytes"):
        asked(1, gpu_memory="much")
    with pytest.raises(InvalidSpec, match="has no key 'gpu_mem'"):
        asked(1, gpu_mem="1 GiB")
    with pytest.raises(InvalidSpec, match="must be an object"):
        gpu_request(RunSpec("me", "p", "run", "local-process", {"local-process": {"launchd": 3}}))


def test_targets_elsewhere_have_gpus_of_their_own() -> None:
    assert gpu_request(RunSpec("me", "p", "run", "kubernetes", {"kubernetes": {"gpus": 8}})) is None
    assert gpu_request(RunSpec("me", "p", "run", "local-process", {"local-process": {"gpus": 8}})) is None


WHOLE = GpuKind("H100", 80 * GIB, free=2, usable=3, total=4)
PARTS = GpuKind("H100 MIG", 10 * GIB, free=1, usable=2, total=2, is_instance=True)
SUMMARY = GpuSummary((WHOLE, PARTS), devices=("GPU-0", "0", "GPU-1", "1"), free_devices=("GPU-0", "0"))


@pytest.mark.parametrize(
    ("request_", "now", "ever"),
    [
        (GpuRequest(1), True, True),
        (GpuRequest(2), True, True),
        (GpuRequest(3), False, True),
        # Instances do not make up for whole GPUs.
        (GpuRequest(5), False, False),
        (GpuRequest(1, memory=81 * GIB), False, False),
        (GpuRequest(None), False, True),
        (GpuRequest(None, memory=81 * GIB), False, False),
        (GpuRequest(1, ("0",)), True, True),
        (GpuRequest(2, ("0", "GPU-1")), False, True),
        (GpuRequest(1, ("7",)), False, False),
    ],
    ids=repr,
)
def test_what_fits_an_agent(request_: GpuRequest, now: bool, ever: bool) -> None:
    assert (SUMMARY.fits_now(request_), SUMMARY.fits_ever(request_)) == (now, ever)


def test_all_fits_where_all_usable_ones_are_free() -> None:
    whole = GpuKind("H100", 80 * GIB, free=3, usable=3, total=4)
    assert GpuSummary((whole,)).fits_now(GpuRequest(None))
    assert not GpuSummary((GpuKind("H100", 1, free=0, usable=0, total=4),)).fits_now(GpuRequest(None))


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        (GpuRequest(1), "1 GPU"),
        (GpuRequest(2, memory=40 * GIB), "2 GPUs with at least 40 GiB"),
        (GpuRequest(None), "all GPUs of the host"),
        (GpuRequest(1, ("3",)), "GPU 3"),
        (GpuRequest(2, ("3", "4")), "GPUs 3, 4"),
    ],
)
def test_a_request_in_words(request_: GpuRequest, words: str) -> None:
    assert request_.words() == words
