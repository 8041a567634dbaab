"""An agent as an administrator runs it for strangers: as root, with a user of its own for each job."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.job_contexts import context, heard, make_context
from tests.support.job_numbers import NUMBERS, first_numbers
from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed

__all__ = ["context", "heard", "make_context"]

POLICY = {
    "resources": ["local-process"],
    "run_as_users": first_numbers(len(NUMBERS)),
    "allow_local_git": True,
    "allow_venv": False,
}


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that other users may pass through, unlike pytest's own."""
    with TemporaryDirectory(prefix="launchd-attacks-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def host(open_directory: Path, account: Account) -> Iterator[Testbed]:
    """A host whose agent has not been started."""
    with make_testbed(open_directory, account, launchd={"policy": POLICY}) as opened:
        yield opened
