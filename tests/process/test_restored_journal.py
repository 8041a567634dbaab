"""An agent whose journal is older than its jobs: what a target keeps is found again, and nothing is created twice."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.server import Account
from tests.support.testbed import Testbed, make_testbed
from tests.support.waiting import wait_until


@pytest.fixture
def testbed(account: Account, tmp_path: Path) -> Iterator[Testbed]:
    with make_testbed(tmp_path, account, max_jobs=1) as opened:
        yield opened


def test_a_workload_that_the_journal_does_not_know_is_found_and_not_created_again(testbed: Testbed) -> None:
    agent = testbed.start_agent()
    item = testbed.push("train", resource="fake", resource_args={"fake": {"run_seconds": 4.0}})
    wait_until(lambda: testbed.phase(item) == "running", what="the job runs")
    agent.kill()
    put_back(testbed.state_dir / "journal.sqlite", item)

    testbed.start_agent()

    (ended,) = testbed.wait_over([item])
    assert (ended.state, ended.exit_code) == ("FINISHED", 0)
    cluster = testbed.state_dir / "jobs" / "fake-cluster"
    workloads = [json.loads(path.read_text()) for path in cluster.glob("*.json")]
    assert [known["creations"] for known in workloads] == [1]


def put_back(journal: Path, item: str) -> None:
    """Have the journal say what it said while the source of the job was fetched."""
    earlier = {"state": "fetching", "recorded": False, "handle": None, "acknowledged": False}
    with closing(sqlite3.connect(journal)) as db, db:
        (record,) = db.execute("SELECT record FROM jobs WHERE item_id = ?", (item,)).fetchone()
        db.execute("UPDATE jobs SET record = ? WHERE item_id = ?", (json.dumps(json.loads(record) | earlier), item))
