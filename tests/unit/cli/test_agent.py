"""`launchd agent`: its messages when it cannot start."""

import json
from pathlib import Path

import pytest

from launchd.cli.agent import Misconfigured
from tests.support.server import RunningServer
from tests.unit.cli.conftest import Launchd

#: The tests may be run by root.
ROOT_JOBS = "launchd: {policy: {allow_root_jobs: true}}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "launch-config.yaml"
    path.write_text(f"entity: me\nmax_jobs: 3\n{ROOT_JOBS}")
    return path


def test_without_queues_it_says_where_to_name_them(launchd: Launchd) -> None:
    answer = launchd("agent")

    assert answer.exit_code == Misconfigured.exit_code
    assert "no queue is named" in answer.stderr


def test_every_mistake_in_the_configuration_is_reported_at_once(launchd: Launchd, tmp_path: Path) -> None:
    config = tmp_path / "launch-config.yaml"
    config.write_text("queue: [default]\nmax_jobs: -5\nmax_job: 3\n")

    answer = launchd("agent", "-c", str(config))

    assert answer.exit_code == Misconfigured.exit_code
    assert "max_jobs" in answer.stderr
    assert "Did you mean max_jobs?" in answer.stderr
    assert "Traceback" not in answer.output


def test_a_configuration_that_is_not_there(launchd: Launchd) -> None:
    answer = launchd("agent", "-c", "nowhere.yaml")

    assert answer.exit_code == Misconfigured.exit_code
    assert "nowhere.yaml" in answer.stderr


def test_without_a_key_it_says_where_it_looked(launchd: Launchd, config: Path) -> None:
    answer = launchd("agent", "-q", "default", "-c", str(config), "--url", "http://127.0.0.1:1")

    assert answer.exit_code == Misconfigured.exit_code
    assert "There is no API key for http://127.0.0.1:1" in answer.stderr


def test_its_log_says_where_each_setting_comes_from(
    launchd: Launchd, config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log"
    monkeypatch.setenv("WANDB_LAUNCH_MAX_JOBS", "5")

    launchd("agent", "-q", "default", "-c", str(config), "-l", str(log), "--url", "http://127.0.0.1:1")

    origins = {"entity": f"{config}:1", "queues": "--queue", "max_jobs": "$WANDB_LAUNCH_MAX_JOBS"}
    origins["launchd.policy.allow_root_jobs"] = f"{config}:3"
    assert log.read_text().rstrip().endswith(f"The configuration was read. origins={json.dumps(origins)}")


def test_a_log_file_that_cannot_be_opened(launchd: Launchd, config: Path) -> None:
    answer = launchd("agent", "-q", "default", "-c", str(config), "-l", "no/such/directory/log")

    assert answer.exit_code == 1
    assert answer.stderr == "Error: The log file no/such/directory/log cannot be opened: No such file or directory.\n"


def test_max_jobs_that_is_no_number_is_a_usage_error(launchd: Launchd) -> None:
    assert launchd("agent", "-q", "default", "-j", "many").exit_code == 2


def test_two_servers_over_one_directory(launchd: Launchd, server: RunningServer) -> None:
    answer = launchd("server", "--data-dir", str(server.data_dir), "--port", "0")

    assert answer.exit_code == 1
    assert answer.stderr == f"Error: Another queue server uses the data directory {server.data_dir}.\n"
