"""The directory of `launchd up`, by which commands and programs find its server and agent.

Owns the paths below the directory, the file `up.json`, and the lock that shows whether an `up` runs.
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

#: A command that checks whether an `up` runs holds the lock for an instant, so one failure proves nothing.
LOCK_TRIES = 5
LOCK_PAUSE_SECONDS = 0.05


class InstanceInUse(Exception):
    """Another `launchd up` runs over the same directory."""


class InstanceNotRunning(Exception):
    """No `launchd up` runs over a directory, or it could not be started; the message says which and why."""


class InstanceInfo(msgspec.Struct, frozen=True):
    """The content of `up.json`: the server's address, the file with its key, the directory of the agent's socket."""

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
        """Lock the directory until the returned file is closed.

        Raises:
            InstanceInUse: another `up` has it. `OSError`: it cannot be made or written.
        """
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = self._lock_path.open("a")
        for _ in range(LOCK_TRIES):
            if _try_lock(file, fcntl.LOCK_EX):
                return file
            time.sleep(LOCK_PAUSE_SECONDS)
        file.close()
        info = self.info()
        process = f" (process {info.pid})" if info else ""
        raise InstanceInUse(
            f"`launchd up` runs already over {self.directory}{process}. See it with `launchd status`,"
            " or name another directory with --state-dir."
        )

    def is_up(self) -> bool:
        """Return whether an `up` runs over the directory."""
        try:
            with self._lock_path.open() as file:
                return not _try_lock(file, fcntl.LOCK_SH)
        except OSError:
            return False

    def info(self) -> InstanceInfo | None:
        """Return what the last `up` wrote, or ``None``; :meth:`is_up` says whether it still runs."""
        try:
            return _info_decoder.decode(self._info_path.read_bytes())
        except (OSError, msgspec.DecodeError):
            return None

    def write_info(self, url: str) -> None:
        """Write `up.json`, for other commands and for the next `up`."""
        info = InstanceInfo(url, str(self.key_file), str(self.runtime_dir), os.getpid())
        new = self._info_path.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(info))
        new.replace(self._info_path)


def default_directory(environ: Mapping[str, str]) -> Path:
    """Return the default directory of `up`; the system service has another one."""
    return Path(default_state_dir(environ), "up")


def running_instance(state_dir: Path | None) -> InstanceInfo | None:
    """Return the info of the `up` that runs over ``state_dir`` (``None``: the default), or ``None`` where none runs.

    Raises:
        InstanceNotRunning: none runs over a directory that was given.
    """
    instance = LocalInstance(state_dir or default_directory(os.environ))
    info = instance.info() if instance.is_up() else None
    if info is None and state_dir is not None:
        raise InstanceNotRunning(f"`launchd up` does not run over {state_dir}.")
    return info


def _try_lock(file: IO[str], operation: int) -> bool:
    try:
        fcntl.flock(file, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
