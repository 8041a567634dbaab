"""The work order: everything a worker needs to know of its job, as a file in the job's directory.

Written by the supervisor before the worker is told; the journal keeps the
truth. It holds no secret: the API key goes through the pipe.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from ipc.directories import PASSABLE
from ipc.run_spec import RunSpec

ORDER_FILE = "job.json"
_NEW_ORDER_FILE = ".job.json.new"


class OutputLimits(msgspec.Struct, frozen=True):
    """How much of a job's output is kept: ``files`` files of at most ``file_bytes`` bytes."""

    file_bytes: int = 64 * 1024 * 1024
    files: int = 5


class VenvOptions(msgspec.Struct, frozen=True):
    """How virtual environments are built on this host; ``python`` is an interpreter's path, ``None`` for our own."""

    enabled: bool = True
    cache_dir: str = ""
    cache_max_bytes: int = 20 * 1024**3
    no_progress_timeout_seconds: float = 600.0
    pip_args: tuple[str, ...] = ()
    python: str | None = None


class GitOptions(msgspec.Struct, frozen=True):
    """Which git transports a job may use; ``allow_local`` opens paths of this host."""

    transports: tuple[str, ...] = ("https", "ssh")
    allow_local: bool = False


class WorkOrder(msgspec.Struct, frozen=True):
    """One job, ready to be run by a worker.

    ``submitter_key`` says that the API key that goes with it is the submitter's
    own (W&B's ``_wandb_api_key``) and not the agent's.
    """

    name: str
    item_id: str
    queue: str
    entity: str
    attempt: int
    base_url: str
    spec: RunSpec
    directory: str
    submitter_key: bool = False
    run_as_user: str | None = None
    heartbeat_seconds: float = 10.0
    start_timeout_seconds: float = 1800.0
    stop_grace_seconds: float = 10.0
    fetch_timeout_seconds: float = 1800.0
    output: OutputLimits = OutputLimits()
    venv: VenvOptions = VenvOptions()
    git: GitOptions = GitOptions()


#: Made once, where the process is that all workers are forked from: making it takes longer than using it.
_order_decoder = msgspec.json.Decoder(WorkOrder)


def write_order(order: WorkOrder) -> None:
    """Write ``order`` into its job's directory, which is made if it is missing, for the owner's eyes only."""
    parent, _, name = order.directory.rpartition("/")
    with _order_directory(Path(parent)) as jobs:
        with suppress(FileExistsError):
            os.mkdir(name, dir_fd=jobs)
        # A job of another user has to get through to its working directory; there is nothing for it to read on the way.
        os.chmod(name, PASSABLE if order.run_as_user else 0o700, dir_fd=jobs)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        with os.fdopen(os.open(f"{name}/{_NEW_ORDER_FILE}", flags, 0o600, dir_fd=jobs), "wb") as file:
            file.write(msgspec.json.encode(order))
        os.rename(f"{name}/{_NEW_ORDER_FILE}", f"{name}/{ORDER_FILE}", src_dir_fd=jobs, dst_dir_fd=jobs)


@contextmanager
def _order_directory(directory: Path) -> Iterator[int]:
    """Have the directory of all jobs open, made if it is missing.

    A job's own is reached from it by its name alone: a ``Path`` would intern that, and the interpreter's table of such
    names would grow by a megabyte over some thousand jobs.
    """
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(PASSABLE)
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read_order(directory: Path) -> WorkOrder:
    """Return the work order in ``directory``.

    Raises:
        OSError: it cannot be read.
        msgspec.DecodeError: it is not a work order.
    """
    return _order_decoder.decode((directory / ORDER_FILE).read_bytes())
