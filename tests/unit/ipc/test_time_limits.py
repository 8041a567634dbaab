"""How long a job may run by its submitter: what is read, and what is refused in a sentence."""

from typing import Any

import pytest

from ipc.errors import InvalidSpec
from ipc.run_spec import RunSpec
from ipc.time_limits import parse_duration, time_limit


def spec(section: Any, resource: str = "local-process") -> RunSpec:
    return RunSpec("me", "demo", "r", resource, resource_args={resource: {"launchd": section}})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("30m", 1800), ("1h30m", 5400), (" 2D ", 172800), ("1h5", 3605), ("1d2h3m4s", 93784)],
)
def test_a_time_is_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0m", "h", "-5", "1.5h", "5x", "1m1h", "99999999d", "٣m"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a time above 0"):
        parse_duration(text)


@pytest.mark.parametrize("resource", ["local-process", "local-container", "kubernetes"])
@pytest.mark.parametrize(("value", "seconds"), [(5400, 5400.0), (0.5, 0.5), ("90m", 5400.0), (None, None)])
def test_a_job_says_its_limit_on_any_target(resource: str, value: Any, seconds: float | None) -> None:
    assert time_limit(spec({"max_runtime_seconds": value}, resource)) == seconds


def test_a_job_without_the_section_has_no_limit() -> None:
    assert time_limit(RunSpec("me", "demo", "r", "local-process")) is None


@pytest.mark.parametrize("value", [0, -1, True, [], {}, "soon", float("nan"), float("inf"), 10**400])
def test_a_wrong_limit_is_refused_with_its_place(value: Any) -> None:
    with pytest.raises(
        InvalidSpec, match=r"resource_args\.local-process\.launchd\.max_runtime_seconds in the run spec"
    ):
        time_limit(spec({"max_runtime_seconds": value}))


def test_a_key_that_is_not_known_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="has no key 'max_runtime'"):
        time_limit(spec({"max_runtime": 5}, "kubernetes"))
