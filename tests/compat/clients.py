"""Where the real W&B clients are: one virtual environment for each version, made by ``make clients``."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = Path(__file__).parent.glob("requirements-wandb-*.txt")

#: A directory of virtual environments to use instead of the one that the Makefile makes.
VENVS_VARIABLE = "LAUNCHD_WANDB_VENVS"
#: Set where every part that a test drives has to be there: without it such tests are skipped.
REQUIRED_VARIABLE = "LAUNCHD_REQUIRE_PARTS"


def _numbers(version: str) -> list[int]:
    return [int(number) for number in version.split(".")]


#: The clients with a lock file, from the oldest that is served to the newest at the time of the files.
VERSIONS = tuple(sorted((re.sub(r"requirements-wandb-(.*)\.txt", r"\1", lock.name) for lock in LOCKS), key=_numbers))
OLDEST, NEWEST = VERSIONS[0], VERSIONS[-1]
#: The version that every run drives beside the newest, and whose agent launchd's is compared with. Only long runs drive
#: the others.
USUAL = "0.20.1"


@dataclass(frozen=True)
class WandbClient:
    """One version of W&B's client, in a virtual environment of its own."""

    version: str
    home: Path

    @property
    def python(self) -> Path:
        return self.home / "bin" / "python"

    @property
    def command(self) -> Path:
        return self.home / "bin" / "wandb"


def find(version: str) -> WandbClient:
    """Return the client; skips the test where it is not installed, or fails it where all parts are required."""
    venvs = Path(os.environ.get(VENVS_VARIABLE) or ROOT / ".venv")
    client = WandbClient(version, venvs / f"wandb-{version}")
    if client.command.exists():
        return client
    target = "clients" if version in (USUAL, NEWEST) else "all-clients"
    reason = f"W&B's client {version} is not installed in {venvs}: make {target}"
    if os.environ.get(REQUIRED_VARIABLE):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
