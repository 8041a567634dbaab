"""Which stop signals there are."""

import pytest

from workers.docker.stop_signals import is_signal


@pytest.mark.parametrize(
    "name", [None, "", "SIGTERM", "term", "SIGQUIT", "9", "15", "64", "SIGRTMIN+3", "RTMAX-1", "SIGWINCH"]
)
def test_those_that_engines_know(name: str | None) -> None:
    assert is_signal(name)


@pytest.mark.parametrize("name", ["SIGNOPE", "0", "65", "-1", "SIG", "RTMIN-1", "TERM ", "1.5"])
def test_those_that_there_are_not(name: str) -> None:
    assert not is_signal(name)
