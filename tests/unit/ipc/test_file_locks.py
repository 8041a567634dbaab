"""A look at a lock says whether its holder lives, and takes nothing from anyone."""

import fcntl
import os
from pathlib import Path

import pytest

from ipc.file_locks import is_held


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_a_lock_is_held_until_its_holder_ends(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    path.mkdir() if kind == "directory" else path.touch()
    holder = os.open(path, os.O_RDONLY)
    assert not is_held(path)
    assert not is_held(path, shared=True)

    fcntl.flock(holder, fcntl.LOCK_EX)
    assert is_held(path)
    assert is_held(path, shared=True)

    fcntl.flock(holder, fcntl.LOCK_SH)
    assert not is_held(path)
    assert is_held(path, shared=True)

    os.close(holder)
    assert not is_held(path, shared=True)


def test_what_is_missing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        is_held(tmp_path / "lock")


def test_a_pipe_in_its_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "lock")
    assert not is_held(tmp_path / "lock")
