"""Numbers of users for jobs of tests: each test process has its own, as an agent ends what runs under its own."""

import os

_EACH = 500

#: This process's number among those that run tests side by side.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))

NUMBERS = range(66000 + _EACH * _WORKER, 66000 + _EACH * (_WORKER + 1))


def first_numbers(count: int) -> str:
    """Return the first ``count`` of them as the configuration has a range."""
    return f"{NUMBERS[0]}-{NUMBERS[count - 1]}"
