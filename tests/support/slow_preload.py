"""A module that takes longer to import than a fork server may be silent in tests, as an SDK on a busy machine does."""

import time

#: Of the processor, not of the clock: what hangs does not work.
SECONDS = 5.0

while time.process_time() < SECONDS:
    pass

from tests.support.fake_runner import FakeRunner  # noqa: E402

__all__ = ["FakeRunner"]
