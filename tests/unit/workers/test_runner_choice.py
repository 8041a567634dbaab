"""Which runner a job gets, and what is said where its SDK is not installed."""

import sys

import pytest

from ipc.errors import HostError, InvalidSpec
from ipc.own_args import LOCAL_PROCESS_KEYS, SECTION
from workers import runners
from workers.runners import runner_class
from workers.runners.local_process import LocalProcessArgs


def test_a_resource_without_a_runner_is_a_sentence() -> None:
    with pytest.raises(InvalidSpec, match="'mesos' cannot be run by this agent"):
        runner_class("mesos")


def test_a_missing_sdk_names_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without_docker(monkeypatch)

    with pytest.raises(HostError, match="installed without what it needs for local-container") as caught:
        runner_class("local-container")
    assert (caught.value.hint or "").endswith(
        f" {sys.executable} -m pip install --require-hashes -r requirements/docker.lock, in launchd's repository."
    )


def test_spare_workers_do_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    without_docker(monkeypatch)

    runners.warm_up(["local-container", "vertex", "unheard-of"])
    runners.discard_warm(["local-container"])


def without_docker(patch: pytest.MonkeyPatch) -> None:
    """Have this process not find the SDK, whatever it has imported so far."""
    patch.setitem(sys.modules, "docker", None)
    for name in [name for name in sys.modules if name.startswith(("workers.docker.", "workers.runners.local_c"))]:
        patch.delitem(sys.modules, name)


def test_the_arguments_of_a_plain_process_are_those_that_are_known_elsewhere() -> None:
    assert {*LocalProcessArgs.__struct_fields__, SECTION} == {*LOCAL_PROCESS_KEYS}
