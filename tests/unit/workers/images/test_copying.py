"""A project of a job's user is copied as that user, and nothing else gets into the copy."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ipc.errors import HostError
from ipc.work_order import JobUser
from workers.context import JobContext
from workers.images.copying import copy_tree

USER = JobUser(64_017, 64_017, "/nowhere")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that other users may pass through, with an empty one of the user's in it."""
    with TemporaryDirectory(prefix="launchd-copying-") as name:
        directory = Path(name)
        directory.chmod(0o711)
        (directory / "work").mkdir(mode=0o700)
        (directory / "copy").mkdir(mode=0o700)
        yield directory


def give(path: Path) -> None:
    os.chown(path, USER.uid, USER.gid, follow_symlinks=False)


@pytest.mark.root
def test_what_is_the_users_is_copied_and_belongs_to_the_agent(place: Path, context: JobContext) -> None:
    work, copy = place / "work", place / "copy"
    (work / "secret.py").write_text("1")
    (work / "secret.py").chmod(0o600)
    (work / "run.sh").write_text("2")
    (work / "run.sh").chmod(0o700)
    (work / "link").symlink_to("run.sh")
    (work / "out").symlink_to("/etc/shadow")
    for path in (work, *work.iterdir()):
        give(path)

    left_out = copy_tree(work, USER, copy, context)

    assert left_out == ("'out' -> '/etc/shadow'",)
    assert {path.name: path.lstat().st_uid for path in copy.iterdir()} == {"secret.py": 0, "run.sh": 0, "link": 0}
    assert [(copy / name).stat().st_mode & 0o777 for name in ("secret.py", "run.sh")] == [0o644, 0o755]


@pytest.mark.root
def test_what_only_root_can_read_stays_unread(place: Path, context: JobContext) -> None:
    work = place / "work"
    (work / "key").write_text("s3cret")
    (work / "key").chmod(0o600)
    give(work)

    with pytest.raises(HostError, match="Permission denied"):
        copy_tree(work, USER, place / "copy", context)


def test_more_than_a_pipe_holds_is_copied(place: Path, context: JobContext) -> None:
    data = os.urandom(3 << 20)
    (place / "work" / "data").write_bytes(data)

    assert copy_tree(place / "work", None, place / "copy", context) == ()
    assert (place / "copy" / "data").read_bytes() == data


def test_a_copy_that_cannot_be_written_is_told(place: Path, make_context: Callable[..., JobContext]) -> None:
    (place / "work" / "file").write_text("")
    (place / "copy" / "file").write_text("here before")

    with pytest.raises(HostError, match="File exists"):
        copy_tree(place / "work", None, place / "copy", make_context())
