"""State directories of programs' agents: removal of old ones, and the path of the control socket."""

import os
from pathlib import Path

from launchd.api.embedded import directories
from launchd.api.embedded.directories import KEPT_DIRECTORIES, new_directory, socket_dir


def test_old_directories_are_removed_and_those_in_use_stay(tmp_path: Path) -> None:
    used, lock = new_directory(tmp_path)
    used = used.rename(tmp_path / "00-oldest")
    for number in range(KEPT_DIRECTORIES + 5):
        (tmp_path / f"1{number:02}-old").mkdir()

    newest, other = new_directory(tmp_path)

    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == KEPT_DIRECTORIES + 1
    assert {used.name, newest.name} <= set(left)
    assert "100-old" not in left
    os.close(lock)
    os.close(other)


def test_a_directory_stays_whose_lock_cannot_be_looked_at(tmp_path: Path) -> None:
    unknown, missing = tmp_path / "00-unknown", tmp_path / "00-missing"
    missing.mkdir()
    unknown.mkdir()
    (unknown / "caller.lock").symlink_to("caller.lock")
    for number in range(KEPT_DIRECTORIES):
        (tmp_path / f"1{number:02}-old").mkdir()

    _, lock = new_directory(tmp_path)

    assert unknown.exists()
    assert not missing.exists()
    os.close(lock)


def test_the_socket_has_a_path_that_is_short_enough(tmp_path: Path) -> None:
    assert socket_dir(Path("/run/x")) == Path("/run/x/run")
    elsewhere = socket_dir(tmp_path / ("x" * 100))

    assert len(os.fsencode(elsewhere / "control.sock")) <= directories.MAX_SOCKET_PATH
    assert elsewhere.is_dir()
    elsewhere.rmdir()
