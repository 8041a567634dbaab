"""`launchd.gpus`: the GPUs that are listed in the configuration, and when one is set aside."""

import pytest

from ipc.gpus import AMD, Gpu
from launchd.config.model import GpusConfig
from tests.unit.config.conftest import Read, Refuse

BEGINNING = "queue: a\nlaunchd:\n  gpus:\n"


def test_by_default_the_driver_is_asked(read: Read) -> None:
    assert read("queue: a\n").config.launchd.gpus == GpusConfig()


def test_gpus_are_listed_by_uuid_or_with_what_is_known_of_them(read: Read) -> None:
    text = (
        f"{BEGINNING}    devices:\n      - GPU-a\n"
        "      - {uuid: GPU-b, name: H100, memory: 80 GiB, numa: 1, linked: [GPU-a]}\n"
        "      - {uuid: GPU-c, vendor: amd, index: 7, files: [/dev/kfd]}\n"
    )
    assert read(text).config.launchd.gpus.devices == (
        Gpu("GPU-a"),
        Gpu("GPU-b", "H100", 80 << 30, 1, numa=1, linked=("GPU-a",)),
        Gpu("GPU-c", index=7, vendor=AMD, files=("/dev/kfd",)),
    )


@pytest.mark.parametrize(
    ("devices", "why"),
    [
        ("GPU-a", "must be a list of GPUs, each a UUID or a mapping with one"),
        ("[GPU-a, GPU-a]", "names a GPU twice"),
        ("[{uuid: GPU-a, index: 1}, GPU-b]", "names a GPU twice"),
        ("[{uuid: GPU-a, speed: 1}]", "has a GPU with the key 'speed': a GPU has uuid, name, memory"),
        ("[{uuid: GPU-a, memory: much}]", "must be a number of bytes"),
        ("[{name: H100}]", "has a GPU that cannot be read: "),
        ("[]", "must be a list of GPUs"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(refuse: Refuse, devices: str, why: str) -> None:
    (sentence,) = refuse(f"{BEGINNING}    devices: {devices}\n")
    assert sentence.startswith("launch-config.yaml")
    assert "launchd.gpus.devices" in sentence
    assert why in sentence


def test_the_other_settings(read: Read, refuse: Refuse) -> None:
    text = f"{BEGINNING}    manage: false\n    fast_failures: 0\n    probe_seconds: 1\n"
    assert read(text).config.launchd.gpus == GpusConfig(manage=False, fast_failures=0, probe_seconds=1.0)
    (sentence,) = refuse(f"{BEGINNING}    fast_failure: 3\n")
    assert "Did you mean fast_failures?" in sentence
