"""The process that asks a cloud for all workers: where its socket is, and the pipe by which the supervisor hears it.

What workers ask it does not pass through the supervisor, which knows only whether the process lives,
or why it cannot serve.
"""

from multiprocessing import connection

import msgspec

from ipc.bootstrap import preloaded_resources, services_directory
from ipc.targets import Cloud, clouds_of

_LIVES = b"lives"
#: The longest reason why the process cannot serve, in bytes.
_MOST_BYTES = 4096


class ServiceSettings(msgspec.Struct, frozen=True):
    """The process listens at ``socket``, and says that it lives every ``heartbeat_seconds``."""

    socket: str
    heartbeat_seconds: float


class ServiceEnd:
    """The side of the process."""

    def __init__(self, settings: ServiceSettings, told: connection.Connection) -> None:
        self.settings = settings
        self._told = told

    def close_peer_ends(self) -> None:
        """Do nothing: the supervisor's end stays with that."""

    def close(self) -> None:
        """Close this side."""
        self._told.close()

    def say_alive(self) -> None:
        """Tell the supervisor that this process lives; raises ``OSError`` when that is gone."""
        self._told.send_bytes(_LIVES)

    def say_failed(self, why: str) -> None:
        """Tell the supervisor in a sentence why this process cannot serve; raises ``OSError`` when that is gone."""
        self._told.send_bytes(why.encode(errors="replace")[:_MOST_BYTES])


class ServicePeer:
    """The supervisor's side."""

    def __init__(self, hears: connection.Connection) -> None:
        self._hears = hears

    def fileno(self) -> int:
        """Return the descriptor that is readable when the process has said that it lives, or is gone."""
        return self._hears.fileno()

    def hear(self) -> str | None:
        """Return why the process cannot serve, None where it lives; ``EOFError`` or ``OSError`` where it is gone."""
        said = self._hears.recv_bytes(_MOST_BYTES)
        return None if said == _LIVES else said.decode(errors="replace")

    def close(self) -> None:
        """Close this side."""
        self._hears.close()


def open_pipes(settings: ServiceSettings) -> tuple[ServicePeer, ServiceEnd]:
    """Return both sides of a new pipe."""
    hears, told = connection.Pipe(duplex=False)
    return ServicePeer(hears), ServiceEnd(settings, told)


def socket_path(directory: str, cloud: Cloud) -> str:
    """Return where the process for ``cloud`` listens; ``directory`` is the agent's ``runtime_dir``."""
    # No longer than the name of the control socket, for which the configuration sees that there is room.
    return f"{directory}/{cloud.environment}.sock"


def find_service(environment: str) -> str | None:
    """Return the socket of the process that asks the cloud of this name, for a worker; ``None`` where there is none."""
    directory = services_directory()
    if directory is None:
        return None
    found = (cloud for cloud in clouds_of(preloaded_resources()) if cloud.environment == environment and cloud.service)
    return next((socket_path(directory, cloud) for cloud in found), None)
