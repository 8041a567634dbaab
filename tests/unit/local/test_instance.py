"""How the commands find what `launchd up` runs, and how it keeps others off."""

import os
from pathlib import Path

import pytest

from launchd.cli.local_agent import runtime_dir
from launchd.config import ConfigError, default_runtime_dir, default_state_dir
from launchd.local.instance import (
    InstanceInfo,
    InstanceInUse,
    InstanceNotRunning,
    LocalInstance,
    default_directory,
    running_instance,
)


@pytest.fixture
def home(tmp_path: Path) -> LocalInstance:
    return LocalInstance(tmp_path / "up")


def test_only_one_lives_here(home: LocalInstance) -> None:
    with home.lock():
        home.write_info("http://127.0.0.1:8780")
        with pytest.raises(InstanceInUse, match=rf"\(process {os.getpid()}\)"):
            home.lock()
    home.lock().close()


def test_the_note_counts_while_the_lock_is_held(home: LocalInstance) -> None:
    assert not home.is_up()
    with home.lock():
        home.write_info("http://127.0.0.1:8780")
        note = InstanceInfo("http://127.0.0.1:8780", str(home.key_file), str(home.runtime_dir), os.getpid())
        assert home.is_up()
        assert running_instance(home.directory) == note
    assert not home.is_up()
    assert home.info() == note
    with pytest.raises(InstanceNotRunning, match="does not run over"):
        running_instance(home.directory)


def test_a_note_that_cannot_be_read_is_none(home: LocalInstance) -> None:
    with home.lock():
        (home.directory / "up.json").write_text("{")
        assert home.info() is None


def test_the_state_is_for_its_owner_alone(home: LocalInstance) -> None:
    home.lock().close()
    assert home.directory.stat().st_mode & 0o777 == 0o700


def test_the_default_place_is_beside_that_of_the_system_service() -> None:
    environ = {"HOME": "/home/me"}
    assert default_directory(environ) == Path(default_state_dir(environ), "up")


def test_the_socket_of_a_living_up_of_a_configuration_and_the_usual_one(home: LocalInstance, tmp_path: Path) -> None:
    config = tmp_path / "launch-config.yaml"
    config.write_text("launchd: {runtime_dir: /somewhere/else}")
    with home.lock():
        home.write_info("http://127.0.0.1:8780")
        assert runtime_dir(None, home.directory) == home.runtime_dir
        assert runtime_dir(str(config), home.directory) == Path("/somewhere/else")
    assert runtime_dir(None, None) == Path(default_runtime_dir(os.environ, default_state_dir(os.environ)))
    with pytest.raises(ConfigError):
        runtime_dir(str(tmp_path / "nowhere.yaml"), None)
