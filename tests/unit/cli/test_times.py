"""Times that are printed say in which zone they are."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

import launchd.cli
from launchd.humanize import format_moment, local_zone, zoned

MODULES = sorted(Path(launchd.cli.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.stem)
def test_a_column_of_times_has_the_zone_in_its_head(module: Path) -> None:
    text = module.read_text()
    assert "format_minute(" not in text or "zoned(" in text


def test_a_time_to_the_second_has_its_zone() -> None:
    assert format_moment(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)).endswith(f":04:05 {local_zone()}")
    assert zoned("ENDED") == f"ENDED {local_zone()}"
