"""`launchd config`: problems with their places and an exit code, the values in effect, no secrets."""

import json
import os
from pathlib import Path

import pytest

from tests.unit.cli.conftest import Launchd


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "launch-config.yaml"
    path.write_text("queues: [default]\nlaunchd: {policy: {allow_root_jobs: true}}\n")
    return path


def test_a_configuration_that_can_be_used(launchd: Launchd, file: Path) -> None:
    done = launchd("config", "check", "-c", str(file))

    assert (done.exit_code, done.output) == (0, f"The configuration {file} can be used.\n")


def test_every_problem_is_told_with_file_line_key_and_what_is_right(launchd: Launchd, file: Path) -> None:
    file.write_text("queues: [default]\nmax_jobs: x\nlaunchd:\n  jobz: {}\n")

    done = launchd("config", "check", "-c", str(file))
    assert done.exit_code == 78
    assert done.stderr.splitlines() == [
        f"error: {file}:2: max_jobs: 'x' must be a whole number.",
        f"error: {file}:4: launchd.jobz: there is no such key. Did you mean jobs?",
        "The configuration cannot be used: 2 problems.",
    ]

    found = launchd("config", "check", "--json", "-c", str(file))
    assert found.exit_code == 78
    first = json.loads(found.stdout)["problems"][0]
    assert (first["file"], first["line"], first["key"]) == (str(file), 2, "max_jobs")
    assert (first["value"], first["why"]) == ("'x'", "must be a whole number")


def test_the_users_of_jobs_are_checked_for_the_service(launchd: Launchd, file: Path) -> None:
    file.write_text("queues: [default]\n")

    done = launchd("config", "check", "--service", "-c", str(file))
    assert done.exit_code == 78
    assert f"{file}: launchd.policy: this agent runs as root" in done.stderr


def test_warnings_do_not_fail_it(launchd: Launchd, file: Path) -> None:
    file.write_text("queues: [default]\nregistry: {credentials: a}\nlaunchd: {policy: {allow_root_jobs: true}}\n")

    done = launchd("config", "check", "-c", str(file))
    assert done.exit_code == 0
    assert f"warning: {file}:2: registry.credentials: this key has no effect" in done.stderr


def test_without_a_file_the_places_are_named(launchd: Launchd) -> None:
    done = launchd("config", "check", WANDB_LAUNCH_MAX_JOBS="2")

    assert (done.exit_code, "no queue is named" in done.stderr) == (78, True)
    file = Path(os.environ["HOME"], ".config/wandb/launch-config.yaml")
    assert f"Name one in the file {file} (there is none yet), or with --queue." in done.stderr


def test_a_file_without_queues_is_named(launchd: Launchd, file: Path) -> None:
    file.write_text("max_jobs: 2\n")
    assert f"Name one in the file {file}, or with --queue." in launchd("config", "check", "-c", str(file)).stderr


def test_values_are_shown_with_their_origins(launchd: Launchd, file: Path) -> None:
    file.write_text("queues: [a]\nlaunchd: {base_url: 'http://127.0.0.1:9'}\n")

    done = launchd("config", "show", "-c", str(file), WANDB_ENTITY="me")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert f'queues: ["a"]  # {file}:1' in lines
    assert "entity: me  # $WANDB_ENTITY" in lines
    assert "max_jobs: 1  # default" in lines

    given = launchd("config", "show", "--given", "-c", str(file))
    assert given.stdout.startswith("queues:")
    assert "default" not in given.stdout


def test_secrets_are_masked(launchd: Launchd, file: Path) -> None:
    file.write_text(
        "queues: [a]\n"
        "builder: {type: kaniko, kaniko-config: {spec: {env: {API_TOKEN: hidden1}}}}\n"
        "launchd:\n"
        "  base_url: https://me:hidden2@queues.example.org\n"
        "  venv: {pip_args: [--index-url, 'https://hidden3@index.example.org/simple']}\n"
    )

    for form in ([], ["--json"]):
        done = launchd("config", "show", "-c", str(file), *form, WANDB_API_KEY="hidden4")
        assert done.exit_code == 0
        assert "hidden" not in done.output
    shown = json.loads(done.stdout)
    assert shown["(API key)"] == {"value": "***", "origin": "WANDB_API_KEY"}
    assert shown["launchd.base_url"]["value"] == "https://***@queues.example.org"


def test_a_secret_in_a_problem_is_masked(launchd: Launchd, file: Path) -> None:
    file.write_text("queues: [a]\nlaunchd: {base_url: 'ftp://me:hidden@queues.example.org'}\n")

    for command in ("check", "show"):
        done = launchd("config", command, "-c", str(file))
        assert (done.exit_code, "hidden" in done.output, "must be an address" in done.output) == (78, False, True)


def test_the_schema_is_printed(launchd: Launchd) -> None:
    assert json.loads(launchd("config", "schema").stdout)["properties"]["queues"]["type"] == ["array", "null"]
