"""A container's log is copied byte for byte once: over deaths at any byte, rotation at the engine, clocks set back."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ipc.settings import JobsConfig
from launchd.agent.output_reader import OutputReader
from workers.docker import output
from workers.docker.output import LogCopy
from workers.output import OutputWriter

LIMITS = JobsConfig(output_max_bytes=1 << 20, output_files=2)

Entry = tuple[str, bytes]


def time(second: int, part: int = 0) -> str:
    return f"2026-01-01T00:00:{second:02}.{part:09}Z"


def encoded(entries: Iterable[Entry]) -> list[bytes]:
    return [moment.encode() + b" " + text for moment, text in entries]


def text_of(entries: Iterable[Entry]) -> bytes:
    return b"".join(text for _, text in entries)


def copy_of(directory: Path) -> LogCopy:
    return LogCopy(directory, OutputWriter(directory, LIMITS))


def copied(copy: LogCopy, log: list[Entry], until: int | None = None) -> None:
    """Copy a log as it is at the engine, to its end or until the copy dies."""
    copy.copy(encoded(log[:until]), lambda: encoded(log))


def written(directory: Path) -> bytes:
    reader = OutputReader(directory / "output.log")
    try:
        return b"".join(reader.read())
    finally:
        reader.close()


LOG = [(time(number // 3, number % 3 // 2), f"line {number}\n".encode()) for number in range(30)]


def test_a_log_is_copied_without_its_times(tmp_path: Path) -> None:
    copied(copy_of(tmp_path), LOG)

    assert written(tmp_path) == text_of(LOG)


@pytest.mark.parametrize("note_bytes", [1, 1 << 20])
@pytest.mark.parametrize("died_after", range(31))
def test_the_next_copy_goes_on_where_one_died(
    tmp_path: Path, died_after: int, note_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "NOTE_BYTES", note_bytes)
    writer = OutputWriter(tmp_path, LIMITS)
    first = LogCopy(tmp_path, writer)
    copied(first, LOG[:died_after])
    # It had written half of the next line and noted nothing of it.
    writer.write(text_of(LOG[died_after : died_after + 1])[:3])

    copied(copy_of(tmp_path), LOG)

    assert written(tmp_path) == text_of(LOG)


def test_a_broken_connection_is_taken_up_from_the_beginning(tmp_path: Path) -> None:
    copy = copy_of(tmp_path)
    with pytest.raises(OSError, match="gone"):
        copy.copy(broken(encoded(LOG[:17])), lambda: encoded(LOG))
    assert not copy.ends_with(encoded(LOG[-1:]))

    copied(copy, LOG)

    assert copy.ends_with(encoded(LOG[-1:]))
    assert written(tmp_path) == text_of(LOG)


def broken(entries: list[bytes]) -> Iterator[bytes]:
    yield from entries
    raise OSError("gone")


@pytest.mark.parametrize("dropped", range(0, 20, 3))
def test_what_the_engine_has_dropped_does_not_shift_the_rest(tmp_path: Path, dropped: int) -> None:
    copied(copy_of(tmp_path), LOG[:20])

    copied(copy_of(tmp_path), LOG[dropped:])

    assert written(tmp_path) == text_of(LOG)


def test_what_was_dropped_before_it_was_read_is_missing_alone(tmp_path: Path) -> None:
    log = [(time(6 * number), f"line {number}\n".encode()) for number in range(10)]
    copied(copy_of(tmp_path), log[:3])

    copied(copy_of(tmp_path), log[6:])

    assert written(tmp_path) == text_of(log[:3] + log[6:])


def test_entries_of_two_streams_go_past_each_other(tmp_path: Path) -> None:
    log = [(time(1, part), f"{part}\n".encode()) for part in (5, 3, 4, 9, 8, 8, 7)]
    for died_after in range(len(log)):
        directory = tmp_path / str(died_after)
        directory.mkdir()
        copied(copy_of(directory), log[:died_after])

        # The first entry of the log was dropped by the engine meanwhile.
        copied(copy_of(directory), log[1:])

        assert written(directory) == text_of(log if died_after else log[1:])


def test_a_clock_that_was_set_back_loses_and_repeats_nothing(tmp_path: Path) -> None:
    log = [(time(50), b"a\n"), (time(51), b"b\n"), (time(10), b"c\n"), (time(11), b"d\n")]
    copied(copy_of(tmp_path), log[:3])

    copied(copy_of(tmp_path), log)

    assert written(tmp_path) == b"a\nb\nc\nd\n"


def test_a_log_without_entries_is_copied_from_where_the_files_end(tmp_path: Path) -> None:
    copy_of(tmp_path).copy_raw([b"abc", b"def"])
    copy_of(tmp_path).copy_raw([b"a", b"bcdefg", b"h"])

    assert written(tmp_path) == b"abcdefgh"


def test_an_empty_log_is_none(tmp_path: Path) -> None:
    copy = copy_of(tmp_path)
    copied(copy, [])

    assert copy.ends_with([])
    assert written(tmp_path) == b""


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parts=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.binary(max_size=5)), max_size=30),
    deaths=st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5), st.booleans()), max_size=4),
)
def test_any_history_gives_each_byte_once(
    tmp_path_factory: pytest.TempPathFactory, parts: list[tuple[int, int, bytes]], deaths: list[tuple[int, int, bool]]
) -> None:
    directory = tmp_path_factory.mktemp("job")
    second, log = 0, []
    for step, part, text in parts:
        second = min(59, second + step // 3)
        log.append((time(second, part), text))
    for died_after, more, same_process in deaths:
        writer = OutputWriter(directory, LIMITS)
        copy = LogCopy(directory, writer)
        copied(copy, log, died_after)
        if same_process:
            copied(copy, log, died_after + more)
        done = text_of(log)
        writer.write(done[writer.position : writer.position + more])

    copied(copy_of(directory), log)

    assert written(directory) == text_of(log)
