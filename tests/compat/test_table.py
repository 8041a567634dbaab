"""The page that a run writes: the same findings give the same page, and nothing is left out."""

import pytest

from tests.compat.clients import NEWEST, OLDEST, VERSIONS
from tests.compat.commands import SECTIONS, command
from tests.compat.table import BEGIN, END, PAGE, Table

ROWS = [row for rows in SECTIONS.values() for row in rows]


def full() -> Table:
    table = Table()
    for row in ROWS:
        for version in VERSIONS:
            table.works(row, version)
    return table


def test_a_cross_has_its_reason_below() -> None:
    table = full()
    table.does_not_work(ROWS[3], OLDEST, "It is too old.")
    table.does_not_work(ROWS[5], OLDEST, "It is too old.")

    text = table.markdown()

    others = " | ✓" * (len(VERSIONS) - 1)
    assert f"| {ROWS[3]} | ✗ 1{others} |\n" in text
    assert f"| {ROWS[5]} | ✗ 1{others} |\n" in text
    assert text.endswith("## Why not\n\n1. It is too old.\n")
    assert Table.of_page(f"{BEGIN}{text}{END}").crosses == table.crosses


def test_what_a_run_says_nothing_of_stays_as_it_is() -> None:
    known, found = full(), full()
    known.does_not_work(ROWS[0], OLDEST, "It is too old.")
    known.does_not_work(ROWS[0], NEWEST, "It is too new.")
    del known.crosses[ROWS[1], NEWEST]
    del found.crosses[ROWS[2], NEWEST]
    assert (found.missing(NEWEST), found.missing(OLDEST)) == ([ROWS[2]], [])

    known.learn(found)

    assert known.crosses == {**full().crosses, (ROWS[0], NEWEST): {"It is too new."}}


def test_only_what_stands_between_the_marks_is_written() -> None:
    page = f"before\n{BEGIN}old\n{END}\nafter\n"

    written = full().written_into(page)

    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert full().written_into(written) == written


def test_the_page_has_every_row() -> None:
    text = PAGE.read_text()

    assert [row for row in ROWS if f"| {row} |" not in text] == []


def test_a_row_that_is_nowhere_is_refused() -> None:
    with pytest.raises(ValueError, match="no section"):
        command("fly")
