"""Places where buildah works: each has storage of its own, and is one build's at a time.

    STORAGE/0.lock     held by the worker that builds
    STORAGE/0/         of the builds' own user: storage/, run/, home/, tmp/
    STORAGE/0.files/   the agent's: what this one build is given

An agent that is root gives each place numbers of users, which nothing else has: two builds share no user, and no build
is root. Where jobs do not trust each other, what a build left goes with it. Elsewhere layers and base images stay,
for the next one.
"""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import msgspec

from ipc.directories import make_passable
from ipc.errors import HostError
from ipc.settings import NUMBERS_PER_BUILD, BuildahConfig
from workers import processes
from workers.builders.venv_cache import EntryLock
from workers.context import JobContext

#: Builds at a time where they are not told apart by users.
_SEATS = 2
_LOOK_AGAIN_SECONDS = 0.2
_END_SECONDS, _END_PAUSE_SECONDS = 10.0, 0.02
_PRIVATE = 0o700


class Seat(msgspec.Struct, frozen=True):
    """A place for one build.

    ``first_user`` is the lowest of its numbers of users, None where a build runs as the agent's own user. ``keeps``
    says whether the storage outlives the build.
    """

    directory: Path
    first_user: int | None
    keeps: bool


@contextmanager
def take_seat(context: JobContext) -> Iterator[Seat]:
    """Take a place that is free, and wait for one where none is.

    Raises:
        HostError: this host gives builds no users, or its disk refuses.
        JobCancelled: the job was stopped meanwhile.
    """
    config = context.order.buildah
    firsts = _first_users(config, context)
    root = Path(config.storage_dir) if config.storage_dir else context.directory.parent.parent / "buildah"
    try:
        make_passable(root)
        number, lock = _wait_for_lock(root, len(firsts), context)
    except OSError as error:
        raise HostError(f"The storage of buildah in {root} cannot be used: {error.strerror}.") from error
    with closing(lock):
        directory = _directory(root / str(number), firsts[number])
        yield Seat(directory, firsts[number], keeps=context.order.user is None)


def _first_users(config: BuildahConfig, context: JobContext) -> list[int | None]:
    """Return the first user of each place there is."""
    if os.geteuid() != 0:
        return [None] * _SEATS
    if config.user_numbers is not None:
        return list(config.user_numbers.numbers[::NUMBERS_PER_BUILD])
    if context.order.user is not None:
        raise HostError(
            "This host's agent is root, and builds with buildah have no users of their own here.",
            hint="The administrator gives them some: launchd.buildah.user_numbers, such as 200000-265535.",
        )
    # All submitters may be root here: the policy says so.
    return [None] * _SEATS


def _wait_for_lock(root: Path, seats: int, context: JobContext) -> tuple[int, EntryLock]:
    while True:
        for number in range(seats):
            lock = EntryLock(root / f"{number}.lock")
            if lock.try_exclusive():
                return number, lock
            lock.close()
        context.progress("waiting for another build with buildah on this host")
        context.wait(_LOOK_AGAIN_SECONDS)


def _directory(path: Path, user: int | None) -> Path:
    """Make the directory of a place, and give it away while it is empty."""
    owner = os.geteuid() if user is None else user
    try:
        if path.exists() and path.stat().st_uid != owner:
            # One that was not given away any more is empty.
            with suppress(OSError):
                path.rmdir()
        if path.exists() and path.stat().st_uid != owner:
            raise HostError(
                f"The storage of buildah in {path} belongs to another user than that of its builds now.",
                hint="The administrator removes it; what is in it can be built again.",
            )
        if not path.exists():
            path.mkdir(mode=_PRIVATE)
            os.chown(path, owner, -1 if user is None else user)
    except OSError as error:
        raise HostError(f"The storage of buildah in {path} cannot be used: {error.strerror}.") from error
    return path


def end_processes(seat: Seat) -> None:
    """Kill what still runs as one of the place's users: a worker that was killed left it.

    Raises:
        HostError: something does not end.
    """
    if seat.first_user is None:
        return
    numbers = range(seat.first_user, seat.first_user + NUMBERS_PER_BUILD)
    give_up_at = time.monotonic() + _END_SECONDS
    while left := processes.of_users(numbers):
        processes.kill(left, signal.SIGKILL)
        if time.monotonic() > give_up_at:
            raise HostError("Processes of an earlier build do not end on this host.", hint="It has to be restarted.")
        time.sleep(_END_PAUSE_SECONDS)
