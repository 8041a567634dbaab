"""Work orders come back as they were, and a job's directory is open to those who must get through, and no further."""

import stat
from pathlib import Path

import pytest

from ipc.work_order import ORDER_FILE, JobUser, read_order, write_order
from tests.support.orders import an_order


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_order_comes_back_as_it_was(tmp_path: Path) -> None:
    given = an_order(tmp_path / "jobs" / "one")
    write_order(given)
    assert read_order(tmp_path / "jobs" / "one") == given


@pytest.mark.parametrize(("user", "expected"), [(None, 0o700), (JobUser(64000, 64000, "/"), 0o711)])
def test_only_a_job_of_another_user_gets_through_to_its_directory(
    tmp_path: Path, user: JobUser | None, expected: int
) -> None:
    write_order(an_order(tmp_path / "jobs" / "one", user=user))
    assert mode(tmp_path / "jobs" / "one") == expected
    assert mode(tmp_path / "jobs") == 0o711
    assert mode(tmp_path / "jobs" / "one" / ORDER_FILE) == 0o600
