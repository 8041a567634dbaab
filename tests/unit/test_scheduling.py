"""What the order of the tests goes by is there."""

from pathlib import Path

import pytest

from tests.support import scheduling

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("scope", scheduling.SECONDS)
def test_what_is_said_to_take_long_exists(scope: str) -> None:
    path, _, test = scope.partition("::")
    name = test.partition("[")[0]

    assert f"def {name}(" in (ROOT / path).read_text() if name else (ROOT / path).is_file()


@pytest.mark.parametrize("start", scheduling.APART)
def test_what_runs_apart_exists(start: str) -> None:
    assert any(str(path.relative_to(ROOT)).startswith(start) for path in ROOT.glob("tests/*/**/test_*.py"))
