"""Where metrics are served: an address of the loopback interface, or a unix socket, and others only on request."""

import ipaddress
import os
import socket
from pathlib import Path

import msgspec

UNIX_PREFIX = "unix:"

#: The longest path of a unix socket, in bytes.
MAX_SOCKET_PATH = 107

#: As on loopback, all users of the host may read: the directory says who comes to it.
SOCKET_MODE = 0o666

_BACKLOG = 16


class ListenAddress(msgspec.Struct, frozen=True):
    """A unix socket at ``path``, or else ``host``, a literal address, and ``port``."""

    host: str = ""
    port: int = 0
    path: str | None = None

    @property
    def is_local(self) -> bool:
        """Whether this machine alone can reach it."""
        return self.path is not None or ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        if self.path is not None:
            return f"{UNIX_PREFIX}{self.path}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> ListenAddress:
    """Return the address that ``text`` names.

    Raises:
        ValueError: it names none; the message is the end of a sentence.
    """
    if text.startswith(UNIX_PREFIX):
        return ListenAddress(path=_socket_path(text.removeprefix(UNIX_PREFIX)))
    host, _, port = text.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.removeprefix("[").removesuffix("]")
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise ValueError("must be ADDRESS:PORT, such as 127.0.0.1:9781, or unix:/PATH")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError("must begin with an address in numbers, such as 127.0.0.1 or [::1]") from None
    return ListenAddress(host, int(port))


def _socket_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError("must have an absolute path after unix:")
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        raise ValueError(f"must have a path of at most {MAX_SOCKET_PATH} bytes")
    return path


def open_socket(address: ListenAddress) -> socket.socket:
    """Return a socket that listens at ``address``; raises ``OSError``. A unix socket that is left over is replaced."""
    if address.path is not None:
        return _open_unix_socket(Path(address.path))
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    return socket.create_server((address.host, address.port), family=family, backlog=_BACKLOG)


def _open_unix_socket(path: Path) -> socket.socket:
    if path.is_socket() and not _is_served(path):
        path.unlink()
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(str(path))
        # Not by the umask, which is that of all threads.
        path.chmod(SOCKET_MODE)
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(1.0)
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            return False
        return True
