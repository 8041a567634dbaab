"""Notifications to systemd: ready, status line, watchdog. One datagram each; none where there is no systemd."""

import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from ipc.visible_text import visible


class SystemdNotifier:
    """The client of the ``sd_notify`` protocol over ``$NOTIFY_SOCKET``."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_seconds = int(environ.get("WATCHDOG_USEC", "0")) / 1e6
        self._fed_at = 0.0
        self._status = ""

    @property
    def is_service(self) -> bool:
        """Whether a service manager started the process, and starts another one when it ends with an error."""
        return bool(self._address)

    def ready(self) -> None:
        """Notify that start-up, or a reload, is complete."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Notify that the configuration is being read again."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Notify that the process is about to end."""
        self._send("STOPPING=1")

    def status(self, sentence: str) -> None:
        """Show ``sentence`` in ``systemctl status``."""
        if sentence != self._status:
            self._status = sentence
            # A line break would begin another notification.
            self._send(f"STATUS={visible(sentence)}")

    def feed_watchdog(self) -> None:
        """Reset systemd's watchdog timer, at most four times per interval."""
        now = time.monotonic()
        if self._watchdog_seconds and now - self._fed_at >= self._watchdog_seconds / 4:
            self._fed_at = now
            self._send("WATCHDOG=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # systemd may be restarting itself; the next message will arrive.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(message.encode(), self._address)
