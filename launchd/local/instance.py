"""Where `launchd up` keeps its state, and how commands and programs find what runs there.

Owns the names below its directory, the note `up.json`, and the lock that says whether an `up` lives.
"""

import fcntl
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import msgspec

from launchd.config import default_state_dir

ENVIRONMENT_VARIABLE = "LAUNCHD_STATE_DIR"

#: A command that looks whether we live holds the lock for an instant: try again before we believe it.
LOCK_TRIES = 5
LOCK_PAUSE_SECONDS = 0.05


class InstanceInUse(Exception):
    """Another `launchd up` runs over the same directory."""


class InstanceNotRunning(Exception):
    """No `launchd up` serves a directory, or it could not be started; the message says which and why."""


class InstanceInfo(msgspec.Struct, frozen=True):
    """What an `up` tells other commands: the server's address, the file with its key, where its agent listens."""

    url: str
    key_file: str
    runtime_dir: str
    pid: int


_info_decoder = msgspec.json.Decoder(InstanceInfo)


class LocalInstance:
    """The directory of one `launchd up`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.server_dir = directory / "server"
        self.agent_dir = directory / "agent"
        self.runtime_dir = directory / "run"
        self.key_file = self.server_dir / "admin.key"
        self.config_path = directory / "launch-config.yaml"
        self.server_log = directory / "server.log"
        self.agent_log = directory / "agent.log"
        self._info_path = directory / "up.json"
        self._lock_path = directory / "up.lock"

    def lock(self) -> IO[str]:
        """Make the directory ours until the file is closed.

        Raises:
            HomeInUse: another `up` has it. `OSError`: it cannot be made or written.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._lock_path.open("a")
        for _ in range(LOCK_TRIES):
            if _try_lock(file, fcntl.LOCK_EX):
                return file
            time.sleep(LOCK_PAUSE_SECONDS)
        file.close()
        note = self.info()
        whose = f" (process {note.pid})" if note else ""
        raise InstanceInUse(
            f"`launchd up` runs already over {self.directory}{whose}. See it with `launchd status`,"
            " or name another directory with --state-dir."
        )

    def is_up(self) -> bool:
        """Whether an `up` lives here."""
        try:
            with self._lock_path.open() as file:
                return not _try_lock(file, fcntl.LOCK_SH)
        except OSError:
            return False

    def info(self) -> InstanceInfo | None:
        """What the last `up` here noted, or ``None``; whether it still lives says :meth:`is_up`."""
        try:
            return _info_decoder.decode(self._info_path.read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    def write_info(self, url: str) -> None:
        """Note where everything is, for other commands and for the next `up`."""
        note = InstanceInfo(url, str(self.key_file), str(self.runtime_dir), os.getpid())
        new = self._info_path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(note))
        new.replace(self._info_path)


def default_directory(environ: Mapping[str, str]) -> Path:
    """Where `up` keeps its state unless told otherwise; the system service's state is another."""
    return Path(default_state_dir(environ), "up")


def running_instance(state_dir: Path | None) -> InstanceInfo | None:
    """What the `up` that lives in ``state_dir`` (``None``: the default place) noted, or ``None`` where none lives.

    Raises:
        NotUp: none lives in a directory that somebody named.
    """
    home = LocalInstance(state_dir or default_directory(os.environ))
    note = home.info() if home.is_up() else None
    if note is None and state_dir is not None:
        raise InstanceNotRunning(f"`launchd up` does not run over {state_dir}.")
    return note


def _try_lock(file: IO[str], how: int) -> bool:
    try:
        fcntl.flock(file, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
