"""The order of precedence of defaults, file, environment and flags, and the origin of every value."""

import os
from pathlib import Path

import pytest

from launchd.config import ConfigError, Flags, likely_runtime_dir, load
from tests.unit.config.conftest import Read

FILE = "entity: file\nmax_jobs: 2\nqueues: [a, b]\nverbosity: 1\n"


def test_without_a_file_the_defaults_are_those_of_wandb(home: dict[str, str]) -> None:
    loaded = load(None, home, Flags(queues=("q",)))

    config = loaded.config
    assert (config.max_jobs, config.max_schedulers, config.secure_mode, config.verbosity) == (1, 1, False, 0)
    assert (config.entity, config.stopped_run_timeout, config.registry, config.environment) == (None, 60, None, None)
    assert (loaded.path, loaded.origins["max_jobs"], loaded.origins["queues"]) == (None, "default", "--queue")


def test_the_file_wins_over_the_defaults(read: Read, tmp_path: Path) -> None:
    loaded = read(FILE, Flags())

    assert (loaded.config.entity, loaded.config.max_jobs, loaded.config.queues) == ("file", 2, ("a", "b"))
    assert loaded.origins["max_jobs"] == f"{tmp_path}/launch-config.yaml:2"


def test_the_environment_wins_over_the_file(read: Read) -> None:
    loaded = read(FILE, Flags(), WANDB_ENTITY="variable", WANDB_LAUNCH_MAX_JOBS="3")

    assert (loaded.config.entity, loaded.config.max_jobs) == ("variable", 3)
    assert (loaded.origins["entity"], loaded.origins["max_jobs"]) == ("$WANDB_ENTITY", "$WANDB_LAUNCH_MAX_JOBS")


def test_flags_win_over_everything(read: Read) -> None:
    flags = Flags(queues=("c",), entity="flag", max_jobs=-1, verbosity=2)

    loaded = read(FILE + "queue: d\n", flags, WANDB_ENTITY="variable", WANDB_LAUNCH_MAX_JOBS="3")

    config = loaded.config
    assert (config.entity, config.max_jobs, config.queues, config.verbosity) == ("flag", -1, ("c",), 2)
    assert {loaded.origins[name] for name in ("entity", "max_jobs", "queues", "verbosity")} == {
        "--entity",
        "--max-jobs",
        "--queue",
        "--verbose",
    }


def test_variables_set_keys_of_the_section_launchd(read: Read) -> None:
    text = "launchd: {base_url: 'https://file.example', jobs: {start_timeout_seconds: 5, max_attempts: 7}}"

    settings = read(text, WANDB_BASE_URL="http://localhost:8080/", WANDB_LAUNCH_START_TIMEOUT="-1").config.launchd

    assert settings.base_url == "http://localhost:8080"
    assert (settings.jobs.start_timeout_seconds, settings.jobs.max_attempts) == (0, 7)


def test_an_empty_variable_says_nothing(read: Read) -> None:
    assert read(FILE, WANDB_ENTITY="", WANDB_LAUNCH_MAX_JOBS="").config.max_jobs == 2


def test_the_singular_queue_joins_the_queues(read: Read) -> None:
    assert read("queue: c\nqueues: [a, b]", Flags()).config.queues == ("a", "b", "c")
    assert read("queue: a", Flags()).config.queues == ("a",)


def test_a_queue_named_twice_counts_once(read: Read) -> None:
    assert read("queues: [a, b, a]\nqueue: b", Flags()).config.queues == ("a", "b")


@pytest.mark.parametrize("explicit", [True, False], ids=["--config", "LAUNCHD_CONFIG"])
def test_a_named_file_wins_over_the_usual_places(tmp_path: Path, home: dict[str, str], explicit: bool) -> None:
    named, usual = tmp_path / "named.yaml", tmp_path / ".config/wandb/launch-config.yaml"
    usual.parent.mkdir(parents=True)
    usual.write_text("queues: [usual]")
    named.write_text("queues: [named]")
    environ = home | ({} if explicit else {"LAUNCHD_CONFIG": str(named)})

    loaded = load(str(named) if explicit else None, environ, Flags())

    assert (loaded.config.queues, loaded.path) == (("named",), named)


def test_the_file_of_wandb_is_found_in_the_home_directory(tmp_path: Path, home: dict[str, str]) -> None:
    usual = tmp_path / ".config/wandb/launch-config.yaml"
    usual.parent.mkdir(parents=True)
    usual.write_text("queues: [usual]")

    assert load(None, home, Flags()).path == usual


def test_state_lies_below_the_users_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    environ = {"HOME": "/home/me", "XDG_RUNTIME_DIR": "/run/user/1000"}

    settings = load(None, environ, Flags(queues=("q",))).config.launchd
    elsewhere = load(None, environ | {"XDG_STATE_HOME": "/data"}, Flags(queues=("q",))).config.launchd

    assert (settings.state_dir, settings.runtime_dir) == ("/home/me/.local/state/launchd", "/run/user/1000/launchd")
    assert elsewhere.state_dir == "/data/launchd"


def test_a_state_directory_of_ones_own_holds_the_socket_too(read: Read) -> None:
    settings = read("launchd: {state_dir: /data/agent}", XDG_RUNTIME_DIR="/run/user/1000").config.launchd

    assert settings.runtime_dir == "/data/agent/run"


def test_a_command_that_takes_no_jobs_needs_no_queue(home: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="no queue is named"):
        load(None, home, Flags())

    assert load(None, home, Flags(), queues_needed=False).config.queues == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("launchd: {runtime_dir: /srv/run, max_size: 1}\nmax_jobs: many", "/srv/run"),
        ("launchd: {state_dir: /srv/state, unknown: 1}", "/srv/state/run"),
        ("launchd: {state_dir: [1]}", "/home/me/.local/state/launchd/run"),
        ("launchd: [1]", "/home/me/.local/state/launchd/run"),
        ("[", "/home/me/.local/state/launchd/run"),
        (None, "/home/me/.local/state/launchd/run"),
    ],
)
def test_where_the_agent_of_an_unusable_configuration_would_be(
    text: str | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    if text is not None:
        (tmp_path / "config.yaml").write_text(text)

    assert likely_runtime_dir(str(tmp_path / "config.yaml"), {"HOME": "/home/me"}) == expected
