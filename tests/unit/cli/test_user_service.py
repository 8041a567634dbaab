"""`launchd up` as a service of a user's own systemd: a unit that systemd takes, and sentences where it does not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from launchd.cli import main
from launchd.local.user_service import UNIT, ServiceError, unit_path, unit_text

needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")

ODD = ["/opt/a b/50%/python", "-m", "launchd", "up", '--state-dir=/home/ada/"x"/$HOME\\y']


def value_of(text: str, key: str) -> str:
    (line,) = (line for line in text.splitlines() if line.startswith(f"{key}="))
    return line.partition("=")[2]


def test_words_of_the_command_are_plain_for_systemd() -> None:
    command = value_of(unit_text(ODD, {}), "ExecStart")
    assert command == (r'"/opt/a b/50%%/python" "-m" "launchd" "up" "--state-dir=/home/ada/\"x\"/$$HOME\\y"')


def test_jobs_get_the_path_and_the_engine_of_the_terminal_and_nothing_else() -> None:
    environ = {
        "PATH": "/opt/$a/bin:/usr/bin",
        "DOCKER_HOST": "unix:///run/user/1000/docker.sock",
        "WANDB_API_KEY": "key",
    }
    text = unit_text(["launchd"], environ)
    assert [line for line in text.splitlines() if line.startswith("Environment=")] == [
        'Environment="PATH=/opt/$a/bin:/usr/bin"',
        'Environment="DOCKER_HOST=unix:///run/user/1000/docker.sock"',
    ]
    assert "key" not in text


def test_jobs_outlive_the_service_and_a_drain_ends_it() -> None:
    text = unit_text(["launchd"], {})
    assert (value_of(text, "KillMode"), value_of(text, "Restart")) == ("process", "on-failure")


@pytest.mark.parametrize("word", ["a\nExecStartPre=/bin/evil", "a\rb"])
def test_a_word_cannot_add_a_directive(word: str) -> None:
    with pytest.raises(ServiceError, match="line break"):
        unit_text(["launchd", word], {})
    with pytest.raises(ServiceError, match="line break"):
        unit_text(["launchd"], {"PATH": word})


def test_the_unit_is_where_the_users_systemd_looks() -> None:
    assert unit_path({"HOME": "/home/ada"}) == Path("/home/ada/.config/systemd/user", UNIT)
    assert unit_path({"HOME": "/home/ada", "XDG_CONFIG_HOME": "/cfg"}) == Path("/cfg/systemd/user", UNIT)


@needs_systemd
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / UNIT
    unit.write_text(unit_text([sys.executable, "-m", "launchd", "up", "--state-dir=/a b/50%"], {"PATH": "/usr/bin"}))
    checked = subprocess.run(
        ["systemd-analyze", "verify", "--user", "--man=no", str(unit)],
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "PATH": "/usr/bin:/bin"},
    )
    assert (checked.returncode, checked.stderr) == (0, "")


def up(home: Path, *options: str, path: str) -> Result:
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": None, "XDG_RUNTIME_DIR": str(home), "PATH": path}
    environ |= {"DBUS_SESSION_BUS_ADDRESS": None, "LAUNCHD_STATE_DIR": None, "DOCKER_HOST": None}
    return CliRunner().invoke(main, ["up", *options], env=environ)


def test_without_systemd_the_unit_is_there_and_a_sentence_says_what_to_do(tmp_path: Path) -> None:
    done = up(tmp_path, "--install-service", "-j", "3", "--state-dir", str(tmp_path / "state"), path="/nonexistent")
    assert (done.exit_code, "This host has no systemctl" in done.output) == (1, True)
    text = unit_path({"HOME": str(tmp_path)}).read_text()
    assert f'"{sys.executable}" "-m" "launchd" "up" "--max-jobs=3" "--state-dir={tmp_path}/state"' in text


@pytest.mark.skipif(shutil.which("systemctl") is None, reason="systemd is not installed here")
def test_without_a_users_systemd_its_own_words_are_shown(tmp_path: Path) -> None:
    done = up(tmp_path, "--install-service", path="/usr/bin:/bin")
    assert done.exit_code == 1
    assert "`systemctl --user daemon-reload` failed" in done.output
    assert "loginctl enable-linger" in done.output
    assert "Traceback" not in done.output


def test_what_was_never_installed_is_not_removed(tmp_path: Path) -> None:
    done = up(tmp_path, "--remove-service", path="/nonexistent")
    assert (done.exit_code, done.output) == (0, f"There is no {unit_path({'HOME': str(tmp_path)})}.\n")
