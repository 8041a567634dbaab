"""What killed processes leave among temporary files: what is surely dead and this user's goes, and nothing else."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ipc.temporary import CONTROL_PREFIX, KUBERNETES_PREFIX, PREFIXES, REHEARSAL_PREFIX
from launchd.agent import temporary_directories
from launchd.agent.control.client import LOCK_NAME
from launchd.agent.temporary_directories import remove_dead
from launchd.api.embedded.directories import socket_dir
from workers import rehearsal
from workers.kubernetes import kubeconfig


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of temporary files; all that is made there is old at once."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(temporary_directories, "DEAD_SECONDS", -1.0)
    return tmp_path


def made(place: Path, name: str, mode: int = 0o700) -> Path:
    directory = place / name
    directory.mkdir()
    (directory / "key").write_text("secret")
    directory.chmod(mode)
    return directory


def test_what_is_dead_goes_with_all_that_is_in_it(place: Path) -> None:
    dead = [made(place, f"{prefix}0a1b_2c3") for prefix in PREFIXES]
    (dead[0] / "nested").mkdir()
    remove_dead()
    assert list(place.iterdir()) == []


@pytest.mark.parametrize("name", ["launchd-home-0a1b2c", "launchd-rehearsal-", f"{KUBERNETES_PREFIX}a.b", "other"])
def test_other_names_stay(place: Path, name: str) -> None:
    other = made(place, name)
    remove_dead()
    assert other.exists()


def test_what_is_younger_than_an_hour_stays(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(temporary_directories, "DEAD_SECONDS", 3600.0)
    young = made(place, f"{REHEARSAL_PREFIX}0a1b2c")
    os.utime(young, (0, 0))
    remove_dead()
    assert young.exists()


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    descriptor = os.open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
    os.close(descriptor)


def test_the_directory_of_a_living_agents_socket_stays(place: Path) -> None:
    living = made(place, f"{CONTROL_PREFIX}0a1b2c")
    with locked(living):
        remove_dead()
        assert living.exists()
    remove_dead()
    assert not living.exists()


def test_no_link_is_followed(place: Path) -> None:
    elsewhere = made(place, "elsewhere")
    (place / f"{REHEARSAL_PREFIX}link").symlink_to(elsewhere)
    (made(place, f"{REHEARSAL_PREFIX}0a1b2c") / "link").symlink_to(elsewhere)
    remove_dead()
    assert (elsewhere / "key").read_text() == "secret"
    assert (place / f"{REHEARSAL_PREFIX}link").is_symlink()
    assert not (place / f"{REHEARSAL_PREFIX}0a1b2c").exists()


def test_what_others_can_write_or_a_file_stays(place: Path) -> None:
    shared = made(place, f"{REHEARSAL_PREFIX}shared", 0o777)
    file = place / f"{REHEARSAL_PREFIX}file"
    file.touch(0o600)
    remove_dead()
    assert shared.exists()
    assert file.exists()


@pytest.mark.root
def test_what_is_another_users_stays(place: Path) -> None:
    theirs = made(place, f"{REHEARSAL_PREFIX}0a1b2c")
    os.chown(theirs, 65534, 65534)
    remove_dead()
    assert theirs.exists()


def test_a_directory_that_cannot_be_looked_at_is_no_error(
    place: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "missing"))
    remove_dead()
    assert "Temporary files cannot be looked through." in caplog.messages


def test_these_are_the_names_that_are_made(place: Path) -> None:
    with kubeconfig._directory_for_keys() as keys:
        assert Path(keys).name.startswith(KUBERNETES_PREFIX)
        assert temporary_directories._OURS.fullmatch(Path(keys).name)
    sockets = socket_dir(place / ("x" * 200))
    assert temporary_directories._OURS.fullmatch(sockets.name)
    # It is made in the fork server alone, whose process would be changed by it.
    assert f'prefix="{REHEARSAL_PREFIX}"' in Path(rehearsal.__file__).read_text()
