"""What is asked of the process that looks after a container engine, and what it answers, as JSON on its pipes.

One task a process: the supervisor loads no SDK, and an engine that hangs costs a process that can be ended.
"""

import msgspec

from ipc.settings import EngineCleanupConfig

#: The code of the process, as `python -m` takes it.
UPKEEP_MODULE = "workers.docker.upkeep"


class FindContainers(msgspec.Struct, frozen=True, tag="find_containers"):
    """List the containers with the mark ``agent``, and the processes that still run of the containers ``ended``."""

    agent: str
    ended: tuple[str, ...] = ()


class RemoveContainers(msgspec.Struct, frozen=True, tag="remove_containers"):
    """End and remove ``containers``, and end what runs of ``strays``, without the engine; all are ids of containers."""

    containers: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()


class CleanImages(msgspec.Struct, frozen=True, tag="clean_images"):
    """Remove images and build cache as ``settings`` say; with ``dry_run`` nothing is removed, and all is as if.

    ``state_dir`` has the records of the images; those with a name in ``spared`` stay.
    """

    state_dir: str
    settings: EngineCleanupConfig = EngineCleanupConfig()
    spared: tuple[str, ...] = ()
    dry_run: bool = False


class Upkeep(msgspec.Struct, frozen=True):
    """A task, and the engine's address; ``None`` is the usual one."""

    task: FindContainers | RemoveContainers | CleanImages
    address: str | None = None


class FoundContainer(msgspec.Struct, frozen=True):
    """A container of the agent: its id, the workload name and the item of its job, and the engine's word for it."""

    id: str
    name: str
    item_id: str
    state: str


class Stray(msgspec.Struct, frozen=True):
    """Processes of a container that the engine does not know of, or takes to be over."""

    container: str
    pids: tuple[int, ...]


class Found(msgspec.Struct, frozen=True, tag="found"):
    """The answer to :class:`FindContainers`."""

    containers: tuple[FoundContainer, ...] = ()
    strays: tuple[Stray, ...] = ()


class Removed(msgspec.Struct, frozen=True, tag="removed"):
    """The answer to :class:`RemoveContainers`: what is gone, and why something is not, as sentences."""

    containers: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


class RemovedImage(msgspec.Struct, frozen=True):
    """An image by its name; ``size`` is in bytes, of which other images may share some."""

    reference: str
    size: int


class Cleaned(msgspec.Struct, frozen=True, tag="cleaned"):
    """The answer to :class:`CleanImages`. ``used_percent`` of the engine's disk, ``None`` where that is not known."""

    images: tuple[RemovedImage, ...] = ()
    cache_bytes: int = 0
    used_percent: float | None = None
    problems: tuple[str, ...] = ()


class Unavailable(msgspec.Struct, frozen=True, tag="unavailable"):
    """The task could not be done, and why, as a sentence."""

    message: str


Answer = Found | Removed | Cleaned | Unavailable

_upkeep_decoder = msgspec.json.Decoder(Upkeep)
_answer_decoder: "msgspec.json.Decoder[Answer]" = msgspec.json.Decoder(Answer)


def decode_upkeep(data: bytes) -> Upkeep:
    """Return the task in ``data``; raises :class:`msgspec.DecodeError`."""
    return _upkeep_decoder.decode(data)


def decode_answer(data: bytes) -> Answer:
    """Return the answer in ``data``; raises :class:`msgspec.DecodeError`."""
    return _answer_decoder.decode(data)
