"""The host's git credentials: whether this host's policy lends them to submitters, and how a fetch user gets them.

Those are the files of the agent's user that git and ssh read by themselves. A fetch user gets copies, in a home
directory that no process of a job can read and that is removed when the source is there.
"""

import os
import tarfile
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO

from ipc.settings import MIB
from ipc.work_order import FETCH_DIRECTORY, WorkOrder
from workers.confined.hand_over import unpack
from workers.context import JobContext

#: In the directory where a source is fetched: the home directory of git and ssh.
HOME_DIRECTORY = "home"

#: Below the home directory of the agent's user; of a directory, its files.
_PLACES = (".gitconfig", ".git-credentials", ".netrc", ".ssh", ".config/git")

#: A larger file is none of these.
_MAX_BYTES = MIB


def are_lent(order: WorkOrder) -> bool:
    """Return whether what fetches the job's source may use the host's git credentials.

    Where the policy does not say, it may where jobs run as the agent's user, who can read them anyway.
    """
    given = order.policy.git_credentials
    return order.user is None if given is None else given


def bring_credentials(context: JobContext) -> None:
    """Copy the host's git credentials for the job's fetch user, where it has one and the policy lends them.

    Raises:
        SourceError: they could not be copied.
        JobCancelled: the job was stopped meanwhile.
    """
    order = context.order
    if order.fetch_user is None or not are_lent(order):
        return
    with tempfile.TemporaryFile() as archive:
        _pack(archive, Path(os.environ.get("HOME", "/")))
        unpack(context, archive.fileno(), context.directory / FETCH_DIRECTORY, order.fetch_user)


def _pack(archive: IO[bytes], home: Path) -> None:
    with tarfile.open(fileobj=archive, mode="w") as packed:
        made: set[Path] = set()
        for path in _files(home):
            inside = Path(HOME_DIRECTORY, path.relative_to(home))
            for directory in reversed(inside.parents[:-1]):
                if directory not in made:
                    made.add(directory)
                    packed.addfile(_member(directory, tarfile.DIRTYPE))
            content = path.read_bytes()
            member = _member(inside, tarfile.REGTYPE)
            member.size = len(content)
            packed.addfile(member, BytesIO(content))
    archive.flush()
    os.lseek(archive.fileno(), 0, os.SEEK_SET)


def _member(path: Path, kind: bytes) -> tarfile.TarInfo:
    member = tarfile.TarInfo(str(path))
    member.type, member.mode = kind, 0o600
    return member


def _files(home: Path) -> Iterator[Path]:
    for name in _PLACES:
        place = home / name
        candidates = sorted(place.iterdir()) if place.is_dir() else [place]
        yield from (path for path in candidates if path.is_file() and path.stat().st_size <= _MAX_BYTES)
