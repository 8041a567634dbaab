"""GPUs: what a job asks for, what a host has, and what an agent tells the queue server of them. Pure.

The same words for agent, workers and queue server: what an item asks for is read here alone.
"""

import csv
import re
from collections.abc import Iterable
from typing import Any

import msgspec

from ipc.errors import InvalidSpec
from ipc.own_args import GPU_MEMORY, GPUS, own_args, place_of
from ipc.run_spec import RunSpec
from ipc.sizes import format_size, parse_size
from ipc.targets import LOCAL_CONTAINER, LOCAL_PROCESS

NVIDIA, AMD = "nvidia", "amd"

#: A job that asks for more names no number of GPUs that a host has.
MAX_COUNT = 4096

#: Docker's key of resource args.
FLAG = "gpus"

#: What precedes a GPU's name where it is written as the Container Device Interface (CDI) has it.
CDI_PREFIXES = ("nvidia.com/gpu=", "amd.com/gpu=")

_DRIVERS = ("", "nvidia", "amd", "cdi")
_KEYS = ("count", "device", "driver", "capabilities")
_DEVICE = re.compile(r"[A-Za-z0-9:._/-]{1,128}")
_NUMBER = re.compile(r"\d{1,4}", re.ASCII)
_HINT = 'Write a number, "all", or "device=" with indexes or UUIDs; see docs/gpus.md.'


class GpuRequest(msgspec.Struct, frozen=True):
    """What a job asks for.

    ``count`` GPUs, None for all usable ones of the host; or exactly ``devices``, by index (``0``, ``0:1`` for a MIG
    instance) or UUID, and then ``count`` is their number. Each has at least ``memory`` bytes, None for any.
    ``capabilities`` are Docker's words for parts of the driver (``compute``, ``utility`` ...).
    """

    count: int | None = None
    devices: tuple[str, ...] = ()
    memory: int | None = None
    capabilities: tuple[str, ...] = ()

    def admits(self, memory: int, is_instance: bool) -> bool:
        """Return whether a GPU of so much memory, or a MIG instance of it, can be one of those that are asked for.

        CUDA gives a process one instance at a time: a job that asks for several GPUs by number gets whole ones.
        """
        if self.memory is not None and memory < self.memory:
            return False
        return not is_instance or self.count in {None, 1} or bool(self.devices)

    def words(self) -> str:
        """Return what is asked for as the object of a sentence."""
        memory = "" if self.memory is None else f" with at least {format_size(self.memory)}"
        if self.devices:
            return (
                f"GPU {self.devices[0]}{memory}"
                if len(self.devices) == 1
                else f"GPUs {', '.join(self.devices)}{memory}"
            )
        if self.count is None:
            return f"all GPUs of the host{memory}"
        return f"{self.count} {'GPU' if self.count == 1 else 'GPUs'}{memory}"


class Gpu(msgspec.Struct, frozen=True):
    """One GPU, or one MIG instance of a GPU, of a host.

    ``uuid`` is its driver's name for it, the same over restarts. ``memory`` is in bytes, ``index`` counts as the driver
    does, in the order of PCI addresses. Of a MIG instance, ``parent`` is the UUID of its GPU and ``instance`` its
    number there. ``numa`` is the node of memory it is near to, ``processors`` the processors (``0-15,32-47``), ``bus``
    its PCI address, ``linked`` are the UUIDs of GPUs that a direct link (NVLink) joins it to; ``files`` are its
    device files, all that a container needs of AMD's; NVIDIA's engine driver adds what is missing of its own.
    """

    uuid: str
    name: str = ""
    memory: int = 0
    index: int = 0
    vendor: str = NVIDIA
    parent: str | None = None
    instance: int | None = None
    numa: int | None = None
    processors: str | None = None
    bus: str | None = None
    linked: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def is_instance(self) -> bool:
        """Whether it is a MIG instance, and no whole GPU."""
        return self.parent is not None

    @property
    def label(self) -> str:
        """The index by which people and Docker name it: ``0``, or ``0:1`` for a MIG instance."""
        return str(self.index) if self.instance is None else f"{self.index}:{self.instance}"

    def is_named(self, word: str) -> bool:
        """Return whether ``word`` of a request means this one."""
        return word in {self.uuid, self.label}


class GpuUse(msgspec.Struct, frozen=True):
    """What one GPU did for a job, as far as it was seen, over ``samples`` looks.

    Utilisation is in percent and memory in bytes, in the mean and at the most; None where the GPU does not say. Memory
    includes what others used on it.
    """

    uuid: str
    label: str
    name: str
    samples: int = 0
    utilisation_mean: float | None = None
    utilisation_peak: float | None = None
    memory_mean: float | None = None
    memory_peak: int | None = None


class GpuKind(msgspec.Struct, frozen=True):
    """GPUs of a host that are alike: ``total`` in all, ``usable`` not set aside, ``free`` to be given out now."""

    name: str
    memory: int
    free: int
    usable: int
    total: int
    vendor: str = NVIDIA
    is_instance: bool = False


class GpuSummary(msgspec.Struct, frozen=True):
    """What an agent says of its host's GPUs when it asks for work.

    ``devices`` are the words by which a job can name one of them, ``free_devices`` those of the free ones.
    """

    kinds: tuple[GpuKind, ...] = ()
    devices: tuple[str, ...] = ()
    free_devices: tuple[str, ...] = ()

    @property
    def free(self) -> int:
        """How many are free."""
        return sum(kind.free for kind in self.kinds)

    @property
    def total(self) -> int:
        """How many there are."""
        return sum(kind.total for kind in self.kinds)

    def fits_now(self, request: GpuRequest) -> bool:
        """Return whether the host can give a job these GPUs at once."""
        if request.devices:
            return set(request.devices) <= set(self.free_devices)
        kinds = self._admitted(request)
        if request.count is None:
            usable = sum(kind.usable for kind in kinds)
            return 0 < usable == sum(kind.free for kind in kinds)
        return request.count <= max((_of_vendor(kinds, vendor, "free") for vendor in _vendors(kinds)), default=0)

    def fits_ever(self, request: GpuRequest) -> bool:
        """Return whether the host has these GPUs, be they free or not, so that a job can wait for them."""
        if request.devices:
            return set(request.devices) <= set(self.devices)
        kinds = self._admitted(request)
        if request.count is None:
            return bool(kinds)
        return request.count <= max((_of_vendor(kinds, vendor, "total") for vendor in _vendors(kinds)), default=0)

    def _admitted(self, request: GpuRequest) -> list[GpuKind]:
        return [kind for kind in self.kinds if request.admits(kind.memory, kind.is_instance)]


def _vendors(kinds: Iterable[GpuKind]) -> set[str]:
    return {kind.vendor for kind in kinds}


def _of_vendor(kinds: Iterable[GpuKind], vendor: str, field: str) -> int:
    """Return how many GPUs of one vendor there are: those of two are of no use to one job."""
    return sum(getattr(kind, field) for kind in kinds if kind.vendor == vendor)


def gpu_request(spec: RunSpec) -> GpuRequest | None:
    """Return the GPUs that the job of ``spec`` asks for, None where it asks for none.

    For `local-container` these are Docker's ``gpus`` (``2``, ``all``, ``device=0,GPU-...``, ``count=2``), for
    `local-process` the same words in ``launchd: {gpus: ...}``. In both, ``launchd: {gpu_memory: "40 GiB"}`` says how
    much memory each must have. Targets elsewhere have GPUs of their own: None.

    Raises:
        InvalidSpec: the value is not to be read; the message names the key.
    """
    if spec.resource not in {LOCAL_CONTAINER, LOCAL_PROCESS}:
        return None
    section = own_args(spec)
    asked, key = section.get(GPUS), place_of(spec, GPUS)
    if spec.resource == LOCAL_CONTAINER:
        args = spec.resource_args.get(spec.resource, {})
        for flag in filter(is_flag, args):
            place = f"resource_args.{spec.resource}.{flag}"
            asked, key = (args[flag], place) if _says_something(args[flag]) else (asked, key)
    if not _says_something(asked):
        return None
    return _read(asked, key, _memory(section.get(GPU_MEMORY), place_of(spec, GPU_MEMORY)))


def is_flag(key: str) -> bool:
    """Return whether a key of resource args is Docker's flag for GPUs, however it is written."""
    return str(key).strip().lstrip("-").lower() == FLAG


def _says_something(value: Any) -> bool:
    """Return whether a value asks for anything: nothing, ``false``, zero and an empty list do not."""
    return value not in (None, False, "", "0", [], ["0"], [0])


def _memory(value: Any, place: str) -> int | None:
    if value is None:
        return None
    try:
        return parse_size(value)
    except ValueError as error:
        raise InvalidSpec(f"{place} in the run spec {error}.", hint="Correct it and launch again.") from error


def _read(value: Any, place: str, memory: int | None) -> GpuRequest | None:
    match value:
        case [one]:
            return _read(one, place, memory)
        case str():
            text = value
        case int() if type(value) is int:
            text = str(value)
        case float() if value.is_integer():
            text = str(int(value))
        case _:
            raise InvalidSpec(f"{place} in the run spec is neither a number nor text.", hint=_HINT)
    try:
        return _parse(text, memory)
    except ValueError as error:
        raise InvalidSpec(f"{place} in the run spec {error}, not {text!r}.", hint=_HINT) from error


def _parse(text: str, memory: int | None) -> GpuRequest | None:
    """Return the request in a text as Docker's command line reads it; None for no GPU at all."""
    fields = _fields(text)
    if fields.get("driver", "") not in _DRIVERS:
        raise ValueError(f"must name a driver of {', '.join(_DRIVERS[1:])}")
    capabilities = tuple(word for word in fields.get("capabilities", "").split(",") if word not in ("", "gpu"))
    if "device" in fields and "count" in fields:
        raise ValueError("must have either a count or devices")
    devices = _devices(fields.get("device"))
    if devices == ("all",):
        return GpuRequest(None, (), memory, capabilities)
    if devices:
        return GpuRequest(len(devices), devices, memory, capabilities)
    count = _count(fields.get("count", "1"))
    return None if count == 0 else GpuRequest(count, (), memory, capabilities)


def _fields(text: str) -> dict[str, str]:
    """Return ``KEY=VALUE,...``, quoted as CSV, by key; a value alone is the count, or one more device."""
    try:
        (row,) = csv.reader([text.strip()], strict=True)
    except (csv.Error, ValueError):
        raise ValueError("must be one line of KEY=VALUE with commas between") from None
    fields: dict[str, str] = {}
    last = ""
    for entry in (word.strip() for word in row):
        key, equals, value = entry.partition("=")
        if last == "device" and key not in _KEYS:
            # Docker wants quotes around several devices, which are easily lost on the way through YAML.
            fields["device"] += f",{entry}"
            continue
        last, value = (key, value) if equals else ("count", entry)
        if last not in _KEYS or last in fields:
            raise ValueError(f"must have {', '.join(_KEYS)} once each, and no other key")
        fields[last] = value
    return fields


def _devices(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    names = [_without_cdi(word.strip()) for word in text.split(",")]
    if len(set(names)) != len(names) or not all(map(_DEVICE.fullmatch, names)):
        raise ValueError("must name each device once, by its index or UUID")
    return tuple(names)


def _without_cdi(word: str) -> str:
    for prefix in CDI_PREFIXES:
        word = word.removeprefix(prefix)
    return word


def _count(text: str) -> int | None:
    if text in {"all", "-1"}:
        return None
    if not _NUMBER.fullmatch(text) or int(text) > MAX_COUNT:
        raise ValueError(f'must be a number of GPUs up to {MAX_COUNT}, or "all"')
    return int(text)
