"""What one version has logged is read by the newest, and the other way round; the newest is beside the usual one."""

from pathlib import Path
from typing import Any

import pytest

from tests.compat.clients import NEWEST, USUAL, WandbClient, find
from tests.compat.commands import BESIDE_NEWEST, READS_NEWEST, command
from tests.compat.names import ARTIFACT, ARTIFACTS, RUNS
from tests.compat.test_api import assert_is_the_artifact, assert_is_the_run
from tests.compat.wandb_env import WandbEnv

pytestmark = [pytest.mark.long, pytest.mark.timeout(240)]


@pytest.fixture
def other(client: WandbClient, wandb_env: WandbEnv, tmp_path: Path) -> WandbEnv:
    """The other version, for the same person at the same server."""
    version = USUAL if client.version == NEWEST else NEWEST
    return WandbEnv.set_up(find(version), tmp_path / "other", wandb_env.url, wandb_env.key)


@command(BESIDE_NEWEST)
def test_what_it_made_is_read_by_the_newest(
    other: WandbEnv, logged_runs: dict[str, Any], logged_artifacts: dict[str, Any], job: str
) -> None:
    _assert_reads(other, RUNS, logged_runs, ARTIFACTS, logged_artifacts)
    assert "train.py" in other.wandb("job", "describe", job)


@command(READS_NEWEST)
def test_what_the_newest_made_is_read_by_it(wandb_env: WandbEnv, other: WandbEnv) -> None:
    runs = other.script("runs", project="newest-runs")
    artifacts = other.script("artifacts", project="newest-data", name=ARTIFACT)
    other.wandb("job", "create", "image", "alpine:3", "-p", "newest-jobs", "-n", "made")

    _assert_reads(wandb_env, "newest-runs", runs, "newest-data", artifacts)
    assert "alpine:3" in wandb_env.wandb("job", "describe", "me/newest-jobs/made:latest")


def _assert_reads(
    reader: WandbEnv, in_runs: str, runs: dict[str, Any], in_artifacts: str, artifacts: dict[str, Any]
) -> None:
    of_runs = reader.script("read_runs", project=in_runs, run=runs["first"], failed=runs["failed"], read_only=True)
    assert_is_the_run(of_runs["run"])
    names = {"producer": artifacts["producer"], "consumer": artifacts["consumer"]}
    of_artifacts = reader.script("read_artifacts", project=in_artifacts, artifact=ARTIFACT, read_only=True, **names)
    assert_is_the_artifact(of_artifacts["artifact"], artifacts)
