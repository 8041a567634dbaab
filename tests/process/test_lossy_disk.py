"""The disk of power cuts is honest: programs lose on it what they did not sync, and nothing that they did."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from sqlite3 import connect

import pytest

from benchmarks.faults.lossy_disk.disk import LossyDisk
from benchmarks.faults.requirements import FUSE
from launchd.agent.submitter_keys import SubmitterKeys

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not os.access(FUSE, os.R_OK | os.W_OK), reason=f"needs {FUSE}"),
]

#: Cuts until each choice was seen: each leaves a quarter or more of the changes that it may lose.
CUTS = 40

#: Commits rows for ever, and prints the number of each after its commit. Arguments: database and synchronous level.
WRITER = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("PRAGMA journal_mode = WAL")
database.execute(f"PRAGMA synchronous = {sys.argv[2]}")
number = database.execute("SELECT coalesce(max(number), 0) FROM rows").fetchone()[0]
while True:
    number += 1
    database.execute("INSERT INTO rows VALUES (?)", (number,))
    print(number, flush=True)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[LossyDisk]:
    opened = LossyDisk(tmp_path / "disk", mebibytes=64)
    yield opened
    opened.close()


@pytest.fixture
def files(disk: LossyDisk) -> Path:
    """Where the disk is mounted."""
    return disk.mount_point


def cut(disk: LossyDisk, seed: int) -> None:
    disk.cut(seed)
    disk.end()
    disk.mount()


def sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def test_content_is_lost_without_a_sync_and_kept_with_it(disk: LossyDisk, files: Path) -> None:
    seen = set()
    for seed in range(CUTS):
        synced, unsynced = files / "synced", files / "unsynced"
        for path in (synced, unsynced):
            path.write_text("old")
            sync(path)
        sync(files)
        for path in (synced, unsynced):
            path.write_text("new")
        sync(synced)
        cut(disk, seed)
        assert synced.read_text() == "new"
        seen.add(unsynced.read_text())
    assert seen >= {"old", "new"}


def test_a_name_is_lost_without_a_sync_of_its_directory_and_kept_with_it(disk: LossyDisk, files: Path) -> None:
    seen = set()
    for seed in range(CUTS):
        for name in ("synced", "unsynced"):
            directory = files / f"{name}-{seed}"
            directory.mkdir()
            sync(files)
            (directory / "file").write_text(name)
            sync(directory / "file")
        sync(files / f"synced-{seed}")
        cut(disk, seed)
        assert (files / f"synced-{seed}" / "file").read_text() == "synced"
        seen.add((files / f"unsynced-{seed}" / "file").exists())
    assert seen == {False, True}


def test_a_replacement_is_undone_without_a_sync_of_its_directory(disk: LossyDisk, files: Path) -> None:
    seen = set()
    for seed in range(CUTS):
        record, new = files / "record", files / "record.new"
        record.write_text("old")
        sync(record)
        sync(files)
        new.write_text("new")
        sync(new)
        new.replace(record)
        cut(disk, seed)
        seen.add(record.read_text())
    assert seen == {"old", "new"}


def test_the_api_key_of_a_job_is_there_after_a_power_cut(disk: LossyDisk, files: Path) -> None:
    keys = SubmitterKeys(files / "keys", "key-of-the-agent")
    for seed in range(CUTS):
        keys.keep(f"job-{seed}", "key-of-the-submitter")
        cut(disk, seed)
        assert keys.key_for(f"job-{seed}", submitter=True) == "key-of-the-submitter"


def test_files_are_files(files: Path) -> None:
    (files / "a").mkdir()
    (files / "a" / "file").write_bytes(b"x" * 300_000)
    (files / "link").symlink_to("a/file")
    os.link(files / "a" / "file", files / "second")
    (files / "second").chmod(0o640)
    assert (files / "link").read_bytes() == b"x" * 300_000
    assert ((files / "a" / "file").stat().st_mode & 0o777, (files / "second").stat().st_nlink) == (0o640, 2)
    (files / "second").rename(files / "a" / "third")
    with pytest.raises(OSError, match="not empty"):
        (files / "a").rmdir()
    with (files / "a" / "third").open("rb") as file:
        (files / "a" / "third").unlink()
        (files / "a" / "file").unlink()
        assert len(file.read()) == 300_000
    for number in range(2000):
        (files / "a" / f"{number}").touch()
    assert len(list((files / "a").iterdir())) == 2000
    subprocess.run(["rm", "-r", files / "a"], check=True)
    assert sorted(path.name for path in files.iterdir()) == ["link"]


def test_a_full_disk_says_so(disk: LossyDisk, files: Path) -> None:
    (files / "file").write_bytes(b"x")
    disk.fill()
    with pytest.raises(OSError, match="No space left"):
        (files / "other").write_bytes(b"x")
    disk.empty()
    (files / "other").write_bytes(b"x")


@pytest.mark.parametrize(("level", "loses"), [("FULL", False), ("OFF", True)])
def test_a_database_keeps_its_commits_if_it_syncs_them(
    disk: LossyDisk, files: Path, level: str, *, loses: bool
) -> None:
    path = files / "database.sqlite"
    with connect(path) as database:
        database.execute("CREATE TABLE rows (number INTEGER)")
    database.close()
    sync(path)
    sync(files)
    lost = False
    for seed in range(10):
        announced = commit_until_cut(disk, path, level, seed)
        with connect(path) as database:
            found = database.execute("SELECT count(*), coalesce(max(number), 0) FROM rows").fetchone()
            is_whole = database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        database.close()
        lost |= found[1] < announced or not is_whole
        if lost:
            break
    assert lost == loses


def commit_until_cut(disk: LossyDisk, path: Path, level: str, seed: int) -> int:
    """Cut the power of a program that commits; returns the number of the last row that it knew to be committed."""
    writer = subprocess.Popen([sys.executable, "-c", WRITER, path, level], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    announced = [writer.stdout.readline() for _ in range(200)]
    disk.cut(seed)
    writer.kill()
    disk.end()
    announced += writer.stdout.readlines()
    writer.wait()
    writer.stdout.close()
    disk.mount()
    return int(announced[-1])
