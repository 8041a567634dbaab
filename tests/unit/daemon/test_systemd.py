"""Notifications to systemd, over a real datagram socket."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from launchd.daemon.systemd import SystemdNotifier


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(tmp_path / "notify"))
    listener.settimeout(0)
    yield listener
    listener.close()


def notifier(systemd: socket.socket, watchdog_usec: str = "0") -> SystemdNotifier:
    return SystemdNotifier({"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": watchdog_usec})


def received(systemd: socket.socket) -> list[str]:
    messages = []
    try:
        while True:
            messages.append(systemd.recv(4096).decode())
    except BlockingIOError:
        return messages


def test_it_says_when_it_is_ready(systemd: socket.socket) -> None:
    notifier(systemd).ready()
    assert received(systemd) == ["READY=1"]


def test_the_same_status_is_told_once(systemd: socket.socket) -> None:
    systemd_notifier = notifier(systemd)
    systemd_notifier.status("polling")
    systemd_notifier.status("polling")
    systemd_notifier.status("draining")
    assert received(systemd) == ["STATUS=polling", "STATUS=draining"]


def test_the_watchdog_is_fed_no_oftener_than_needed(systemd: socket.socket) -> None:
    systemd_notifier = notifier(systemd, "60000000")
    systemd_notifier.feed_watchdog()
    systemd_notifier.feed_watchdog()
    assert received(systemd) == ["WATCHDOG=1"]


def test_without_a_watchdog_none_is_fed(systemd: socket.socket) -> None:
    notifier(systemd).feed_watchdog()
    assert received(systemd) == []


def test_a_reload_carries_its_time(systemd: socket.socket) -> None:
    notifier(systemd).reloading()
    assert received(systemd)[0].startswith("RELOADING=1\nMONOTONIC_USEC=")


def test_without_systemd_it_is_silent() -> None:
    SystemdNotifier({}).ready()


def test_a_systemd_that_is_away_for_a_moment_does_no_harm(tmp_path: Path) -> None:
    SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()
