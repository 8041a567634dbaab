"""Parts that tests drive and a machine may lack: the test is skipped then, or fails where it must not be."""

import os
from typing import NoReturn

import pytest

REQUIRED = os.environ.get("LAUNCHD_REQUIRE_PARTS") == "1"


def missing_part(sentence: str) -> NoReturn:
    """Skip the test, or fail it where every part has to be there; ``sentence`` says what is missing."""
    if REQUIRED:
        pytest.fail(sentence)
    pytest.skip(sentence)
