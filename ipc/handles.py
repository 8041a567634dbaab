"""Workload names, handles, and how a workload ended.

A name is chosen by the supervisor before anything exists; a handle is what a
runner needs to find its workload again after every process here has died.
"""

import hashlib

import msgspec

#: The longest handle, in bytes of JSON: it goes through messages that are bounded.
MAX_HANDLE_BYTES = 1500

_encoder = msgspec.json.Encoder()


class Handle(msgspec.Struct, frozen=True):
    """Where a submitted workload is to be found.

    ``data`` belongs to the runner that made it; ``version`` is the runner's own
    number for the layout of ``data``, so that a newer agent can adopt an older
    agent's workload. A value that may be long belongs into a file in the job's
    directory.

    Raises:
        ValueError: it takes more than :data:`MAX_HANDLE_BYTES`, or a text in it is none.
    """

    runner: str
    name: str
    version: int = 1
    data: dict[str, str | int] = {}

    def __post_init__(self) -> None:
        size = len(_encoder.encode(self))
        if size > MAX_HANDLE_BYTES:
            raise ValueError(f"a handle of {size} bytes is longer than {MAX_HANDLE_BYTES}")


class ExitResult(msgspec.Struct, frozen=True):
    """How a workload's main process ended.

    Exactly one of ``code`` (0-255) and ``signal`` (a signal number) is set when
    the end was seen; both are ``None`` when it was not seen. ``cpu_seconds`` is
    the processor time that the workload used in all, ``peak_memory_bytes`` the
    memory that it used at most, ``run_seconds`` the time from its start to its
    end; ``None`` where that is not known. ``survivors`` are processes of it that
    could not be killed.
    """

    code: int | None = None
    signal: int | None = None
    oom_killed: bool = False
    message: str | None = None
    cpu_seconds: float | None = None
    peak_memory_bytes: int | None = None
    survivors: tuple[int, ...] = ()
    run_seconds: float | None = None


def workload_name(server_url: str, item_id: str, attempt: int) -> str:
    """Return the name under which attempt ``attempt`` (from 1) of an item exists outside.

    It is the same for the same three values on any host and after any restart,
    and fits every runner: lower-case letters, digits and ``-``, 30 characters.
    """
    digest = hashlib.sha256(f"{server_url}\n{item_id}".encode()).hexdigest()
    return f"launchd-{digest[:16]}-{attempt}"


def attempt_names(name: str, attempt: int) -> tuple[str, ...]:
    """Return the workload names of the attempts 1 to ``attempt`` of the job with the workload name ``name``."""
    stem, _, _ = name.rpartition("-")
    return tuple(f"{stem}-{number}" for number in range(1, attempt + 1))
