"""`launchd up` as a service of a user's own systemd: the unit's text, its file, and what systemd is asked.

Needs no rights but the user's. Knows nothing of the agent.
"""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

UNIT = "launchd-up.service"

#: How long systemd may take to answer, in seconds; the start of the service is not waited for.
SYSTEMCTL_SECONDS = 30.0

#: Variables of the terminal that jobs may need, and that a user's systemd does not have.
_KEPT_VARIABLES = ("PATH", "DOCKER_HOST")

_TEXT = """\
# Written by `launchd up --install-service`; `launchd up --remove-service` removes it.
[Unit]
Description=Queue server and launch agent of %u (launchd up)
Documentation=man:launchd(1)
# However often it fails, it is tried again.
StartLimitIntervalSec=0

[Service]
Type=exec
ExecStart={command}
{environment}
# Jobs are processes of this unit, too: they run on when it is stopped or started again, and the next start adopts them.
KillMode=process
# After `launchd drain` it stays stopped.
Restart=on-failure
RestartSec=5
TimeoutStopSec=40
# A job that runs out of memory ends alone.
OOMPolicy=continue
TasksMax=infinity

[Install]
WantedBy=default.target
"""


class ServiceError(Exception):
    """The user's systemd does not do what it is asked; the message says what to do."""


def unit_path(environ: Mapping[str, str]) -> Path:
    """Return where a user's own units are."""
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME") or "~").expanduser() / ".config")
    return Path(home, "systemd", "user", UNIT)


def unit_text(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """Return the unit that runs ``command``, with what jobs need of ``environ``.

    Raises:
        ServiceError: a word has a line break, which no unit can hold.
    """
    kept = [f"{name}={environ[name]}" for name in _KEPT_VARIABLES if environ.get(name)]
    words = [*command, *kept]
    if any("\n" in word or "\r" in word for word in words):
        raise ServiceError("A path or variable has a line break, which no unit of systemd can hold.")
    environment = "\n".join(f"Environment={_quoted(each)}" for each in kept)
    # A dollar sign is a variable in a command alone.
    shown = " ".join(_quoted(word).replace("$", "$$") for word in command)
    return _TEXT.format(command=shown, environment=environment)


def _quoted(word: str) -> str:
    """Return a word as systemd reads it: in quotes, with its specifiers and escapes made plain."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{plain}"'


def install(path: Path, text: str) -> None:
    """Write the unit, and have systemd start it now and with each login.

    Raises:
        OSError: it cannot be written.
        ServiceError: it is written, and systemd does not start it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    ask_systemd("daemon-reload")
    ask_systemd("enable", UNIT)
    # One that runs already takes up the new unit; its jobs run on.
    ask_systemd("restart", "--no-block", UNIT)


def remove(path: Path) -> bool:
    """Have systemd stop the service, and remove its unit; return whether there was one.

    Raises:
        OSError: it cannot be removed.
        ServiceError: systemd does not stop it; the unit is left.
    """
    if not path.exists():
        return False
    ask_systemd("disable", "--now", UNIT)
    path.unlink()
    ask_systemd("daemon-reload")
    return True


def ask_systemd(*words: str) -> None:
    """Call `systemctl --user`; raises :class:`ServiceError` with its own words."""
    asked = ("systemctl", "--user", *words)
    try:
        done = subprocess.run(
            asked, capture_output=True, text=True, errors="replace", timeout=SYSTEMCTL_SECONDS, check=False
        )
    except FileNotFoundError:
        raise ServiceError(
            "This host has no systemctl: run `launchd up` in a terminal, or by another service manager."
        ) from None
    except subprocess.TimeoutExpired:
        raise ServiceError(f"`{' '.join(asked)}` gave no answer within {SYSTEMCTL_SECONDS:g} s.") from None
    if done.returncode != 0:
        said = " ".join((done.stderr or done.stdout).split())[:1000] or f"exit code {done.returncode}"
        hint = "A user's systemd runs from a login on, or with `loginctl enable-linger` without one."
        raise ServiceError(f"`{' '.join(asked)}` failed: {said}. {hint}")


def runs_without_login(user: str) -> bool:
    """Return whether the systemd of ``user`` runs without a login, so that the service outlives a logout."""
    return Path("/var/lib/systemd/linger", user).exists()
