"""What a container may use: more is refused by key and rule, and a job that asks for nothing is limited."""

from typing import Any

import pytest

from ipc.policy_rules import ContainerLimits
from ipc.settings import GIB, MIB
from workers.docker import limits
from workers.docker.flags import translate

ALL = ContainerLimits(memory=2 * GIB, processors=1.5, processes=100, shared_memory=GIB, disk=10 * GIB)


def _refused(granted: ContainerLimits = ALL, /, **args: Any) -> list[str]:
    return list(limits.refusals(translate(args).config, granted))


def _host(granted: ContainerLimits = ALL, /, **args: Any) -> dict[str, Any]:
    return limits.with_limits(translate(args).config.get("HostConfig", {}), granted)


def test_a_job_that_asks_for_nothing_gets_the_limits() -> None:
    assert _host() == {
        "Memory": 2 * GIB,
        "MemorySwap": 2 * GIB,
        "NanoCpus": 1_500_000_000,
        "PidsLimit": 100,
        "ShmSize": 64 * MIB,
    }


@pytest.mark.parametrize(("has", "gets"), [(1, 1.0), (2, 1.5), (None, 1.5)])
def test_no_container_is_given_more_processors_than_there_are(has: int | None, gets: float) -> None:
    """An engine refuses them, and with them each job of the preset `public` on a small host."""
    assert limits.with_limits({}, ContainerLimits(processors=1.5), has)["NanoCpus"] == gets * 10**9


def test_a_job_may_ask_for_less_and_keeps_what_it_asked_for() -> None:
    args = {"memory": "1g", "cpus": 1, "pids-limit": 5, "shm-size": "1g", "storage-opt": "size=1g"}

    assert _refused(**args) == []
    asked = {"Memory": GIB, "MemorySwap": GIB, "NanoCpus": 10**9, "PidsLimit": 5, "ShmSize": GIB}
    assert _host(**args) == {**asked, "StorageOpt": {"size": "1g"}}


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ({"memory": "3g"}, "memory 3 GiB is not granted on this host: a job may have at most 2 GiB"),
        ({"memory-swap": "-1"}, "memory-swap asks for no limit, and this host grants at most 2 GiB"),
        ({"memory": 0}, "memory asks for no limit"),
        ({"memory-swap": "4g"}, "memory-swap 4 GiB is not granted"),
        ({"cpus": 2}, "cpus 2 is not granted on this host: a job may have at most 1.5"),
        ({"cpu-quota": 400000}, "cpus 4 is not granted"),
        ({"cpu-quota": 100000, "cpu-period": 1000}, "cpus 100 is not granted"),
        ({"pids-limit": -1}, "pids-limit asks for no limit"),
        ({"pids-limit": 101}, "pids-limit 101 is not granted"),
        ({"shm-size": "2g"}, "shm-size 2 GiB is not granted"),
        ({"storage-opt": "size=20g"}, "storage-opt size 20 GiB is not granted"),
        ({"health-interval": "1ms"}, "health-interval 0.001s is not granted on this host: each look is"),
        ({"health-start-interval": "4s"}, "health-start-interval 4s is not granted on this host"),
    ],
)
def test_more_is_refused_by_key_and_rule(args: dict[str, Any], sentence: str) -> None:
    [refused] = _refused(**args)

    assert refused.startswith(sentence)
    assert "(launchd.policy.containers.limits." in refused
    assert _refused(ContainerLimits(health_check_seconds=0.0), **args) == []


def test_without_limits_nothing_is_changed() -> None:
    assert _host(ContainerLimits(), cpus=2) == {"NanoCpus": 2 * 10**9}


def test_a_period_alone_asks_for_no_processors_and_a_quota_stays() -> None:
    assert _host(**{"cpu-period": 1000})["NanoCpus"] == 1_500_000_000
    assert "CpuPeriod" not in _host(**{"cpu-period": 1000})
    assert _host(**{"cpu-quota": 50000})["CpuQuota"] == 50000
    assert "NanoCpus" not in _host(**{"cpu-quota": 50000})


def test_the_storage_driver_is_told_of_the_disk() -> None:
    assert limits.with_disk({"Init": True}, GIB) == {"Init": True, "StorageOpt": {"size": str(GIB)}}
