"""The directory of `launchd up`: how commands find its server and agent, and its lock."""

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
def instance(tmp_path: Path) -> LocalInstance:
    return LocalInstance(tmp_path / "up")


def test_only_one_runs_over_a_directory(instance: LocalInstance) -> None:
    with instance.lock():
        instance.write_info("http://127.0.0.1:8780")
        with pytest.raises(InstanceInUse, match=rf"\(process {os.getpid()}\)"):
            instance.lock()
    instance.lock().close()


def test_the_info_counts_while_the_lock_is_held(instance: LocalInstance) -> None:
    assert not instance.is_up()
    with instance.lock():
        instance.write_info("http://127.0.0.1:8780")
        info = InstanceInfo("http://127.0.0.1:8780", str(instance.key_file), str(instance.runtime_dir), os.getpid())
        assert instance.is_up()
        assert running_instance(instance.directory) == info
    assert not instance.is_up()
    assert instance.info() == info
    with pytest.raises(InstanceNotRunning, match="does not run over"):
        running_instance(instance.directory)


def test_an_info_that_cannot_be_read_is_none(instance: LocalInstance) -> None:
    with instance.lock():
        (instance.directory / "up.json").write_text("{")
        assert instance.info() is None


def test_the_state_is_for_its_owner_alone(instance: LocalInstance) -> None:
    instance.lock().close()
    assert instance.directory.stat().st_mode & 0o777 == 0o700


def test_the_default_directory_is_below_the_default_state_directory() -> None:
    environ = {"HOME": "/home/me"}
    assert default_directory(environ) == Path(default_state_dir(environ), "up")


def test_the_socket_of_a_running_up_of_a_configuration_and_the_usual_one(
    instance: LocalInstance, tmp_path: Path
) -> None:
    config = tmp_path / "launch-config.yaml"
    config.write_text("launchd: {runtime_dir: /somewhere/else}")
    with instance.lock():
        instance.write_info("http://127.0.0.1:8780")
        assert runtime_dir(None, instance.directory) == instance.runtime_dir
        assert runtime_dir(str(config), instance.directory) == Path("/somewhere/else")
    assert runtime_dir(None, None) == Path(default_runtime_dir(os.environ, default_state_dir(os.environ)))
    with pytest.raises(ConfigError):
        runtime_dir(str(tmp_path / "nowhere.yaml"), None)
