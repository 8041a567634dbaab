"""Reading a job's output by position, over files that the writer of outputs rotates."""

import os
from pathlib import Path

import pytest

from ipc.settings import JobsConfig
from launchd.agent.output_tail import OutputTail
from workers.output import OutputWriter

LIMITS = JobsConfig(output_max_bytes=10, output_files=3)
ALL = 1000


@pytest.fixture
def writer(tmp_path: Path) -> OutputWriter:
    return OutputWriter(tmp_path, LIMITS)


def read(directory: Path, position: int = 0, limit: int = ALL, most_behind: int = ALL) -> tuple[int, int, bytes]:
    part = OutputTail(str(directory)).read(position, limit, most_behind)
    return part.position, part.size, part.content


def test_no_output_yet(tmp_path: Path) -> None:
    assert read(tmp_path / "missing") == (0, 0, b"")
    assert read(tmp_path, 7) == (7, 7, b"")


def test_positions_count_the_whole_output(tmp_path: Path, writer: OutputWriter) -> None:
    writer.write(b"0123456789abcdefghij!")
    assert read(tmp_path) == (0, 21, b"0123456789")
    assert read(tmp_path, 10) == (10, 21, b"abcdefghij")
    assert read(tmp_path, 15, limit=3) == (15, 21, b"fgh")
    assert read(tmp_path, 20) == (20, 21, b"!")
    assert read(tmp_path, 21) == (21, 21, b"")
    assert OutputTail(str(tmp_path)).read(20, ALL, ALL).is_at_end


def test_positions_stay_true_where_the_limit_is_another_one(tmp_path: Path, writer: OutputWriter) -> None:
    writer.write(b"01234567")
    smaller = OutputWriter(tmp_path, JobsConfig(output_max_bytes=5, output_files=3))
    smaller.write(b"abcdefg")
    assert read(tmp_path) == (0, 15, b"01234567")
    assert read(tmp_path, 8) == (8, 15, b"abcde")
    assert smaller.position == 15


def test_what_was_rotated_away_is_left_out(tmp_path: Path, writer: OutputWriter) -> None:
    writer.write(b"0123456789abcdefghijABCDEFGHIJ!")
    assert read(tmp_path) == (10, 31, b"abcdefghij")


def test_what_is_far_behind_is_left_out(tmp_path: Path, writer: OutputWriter) -> None:
    writer.write(b"0123456789abcdefghij!")
    assert read(tmp_path, most_behind=4) == (17, 21, b"hij")


def test_what_is_no_file_is_no_output(tmp_path: Path, writer: OutputWriter) -> None:
    """A job that may write in its directory must not end the thread that reads there, or make it wait."""
    writer.write(b"0123456789abc")
    for name in ("output.log", "output.start"):
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
    assert read(tmp_path, 10) == (10, 10, b"")
    (tmp_path / "output.log").unlink()
    (tmp_path / "output.log").mkdir()
    assert read(tmp_path)[2] == b""


def test_no_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "output.log").symlink_to(tmp_path / "secret")
    assert read(tmp_path)[2] == b""
