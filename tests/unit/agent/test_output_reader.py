"""Reading a job's output while it is written and rotated."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from launchd.agent.output_reader import OutputReader
from tests.support.odd_files import ODD_KINDS, put_odd_file


class Output:
    """Output files as the shim of a job leaves them."""

    def __init__(self, directory: Path) -> None:
        self.newest = directory / "output.log"

    def write(self, data: bytes) -> None:
        with self.newest.open("ab") as file:
            file.write(data)

    def rotate(self, files: int = 5) -> None:
        for number in range(files - 1, 0, -1):
            older = self.newest.with_name(f"output.log.{number}")
            newer = self.newest.with_name(f"output.log.{number - 1}") if number > 1 else self.newest
            if newer.exists():
                newer.replace(older)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path)


@pytest.fixture
def reader(output: Output) -> Iterator[OutputReader]:
    opened = OutputReader(output.newest)
    yield opened
    opened.close()


def read(reader: OutputReader) -> bytes:
    return b"".join(reader.read())


def test_no_output_yet(reader: OutputReader, output: Output) -> None:
    assert read(reader) == b""
    output.write(b"first")
    assert read(reader) == b"first"


def test_bytes_are_kept_as_they_are(reader: OutputReader, output: Output) -> None:
    data = bytes(range(256)) * 1000
    output.write(data)
    assert read(reader) == data


def test_files_come_in_the_order_in_which_they_were_written(reader: OutputReader, output: Output) -> None:
    for number in range(12):
        output.rotate(files=12)
        output.write(b"%d " % number)
    assert read(reader) == b"0 1 2 3 4 5 6 7 8 9 10 11 "


def test_reading_goes_on_over_rotations(reader: OutputReader, output: Output) -> None:
    output.write(b"a")
    assert read(reader) == b"a"
    output.write(b"b")
    output.rotate()
    assert read(reader) == b"b"
    output.write(b"c")
    output.rotate()
    output.write(b"d")
    assert read(reader) == b"cd"
    assert read(reader) == b""
    output.write(b"e")
    assert read(reader) == b"e"


def test_what_was_removed_unread_is_passed_over(reader: OutputReader, output: Output) -> None:
    output.write(b"0")
    assert read(reader) == b"0"
    for number in (1, 2, 3, 4):
        output.rotate(files=3)
        output.write(b"%d" % number)
    assert read(reader) == b"234"


@pytest.mark.parametrize("kind", ODD_KINDS)
@pytest.mark.parametrize("name", ["output.log", "output.log.2"])
def test_what_a_job_put_in_the_place_of_output_is_passed_over(
    reader: OutputReader, output: Output, name: str, kind: str
) -> None:
    output.newest.with_name("output.log.1").write_bytes(b"older")
    put_odd_file(output.newest.with_name(name), kind)
    assert read(reader) == b"older"


def test_a_file_with_a_huge_number_costs_no_time(reader: OutputReader, output: Output) -> None:
    output.write(b"newest")
    output.newest.with_name(f"output.log.{10**15}").write_bytes(b"oldest ")
    assert read(reader) == b"oldest newest"
