"""Work orders come back as they were, and a job's directory is open to those who must get through, and no further."""

import stat
from pathlib import Path

import pytest

from ipc.run_spec import RunSpec
from ipc.work_order import ORDER_FILE, JobUser, WorkOrder, read_order, write_order


def order(directory: Path, user: JobUser | None = None) -> WorkOrder:
    return WorkOrder(
        name="launchd-0-1",
        item_id="item",
        queue="default",
        entity="e",
        attempt=1,
        base_url="http://localhost",
        spec=RunSpec("e", "p", "r", "local-process"),
        directory=str(directory),
        user=user,
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_an_order_comes_back_as_it_was(tmp_path: Path) -> None:
    given = order(tmp_path / "jobs" / "one")
    write_order(given)
    assert read_order(tmp_path / "jobs" / "one") == given


@pytest.mark.parametrize(("user", "expected"), [(None, 0o700), (JobUser(64000, 64000, "/"), 0o711)])
def test_only_a_job_of_another_user_gets_through_to_its_directory(
    tmp_path: Path, user: JobUser | None, expected: int
) -> None:
    write_order(order(tmp_path / "jobs" / "one", user))
    assert mode(tmp_path / "jobs" / "one") == expected
    assert mode(tmp_path / "jobs") == 0o711
    assert mode(tmp_path / "jobs" / "one" / ORDER_FILE) == 0o600
