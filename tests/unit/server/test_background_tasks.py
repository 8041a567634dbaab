"""What runs beside requests goes on after any error, and misses nothing that happens while it works."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from launchd.server import alert_sender, heartbeat_timer
from launchd.server.alert_sender import AlertToSend
from launchd.server.files.gc import GarbageCollector, GcResult
from launchd.server.heartbeat_timer import HeartbeatTimer
from launchd.server.launch import lease_timer
from launchd.server.launch.lease_timer import LeaseTimer
from launchd.server.measures import ServerMeasures
from launchd.server.notifier import Notifier
from launchd.server.settings import ServerSettings
from launchd.server.store.database import Database

SECONDS = 5.0


class Answers:
    """In the place of a database: what its transactions return, one after the other, or raise."""

    def __init__(self, *answers: Callable[[], Any] | Exception) -> None:
        self._answers = list(answers)
        self.used_up = asyncio.Event()

    async def write(self, _work: object) -> Any:
        answer = self._answers.pop(0)
        if not self._answers:
            self.used_up.set()
        if isinstance(answer, Exception):
            raise answer
        return answer()

    write_guarded = write


async def use_up(answers: Answers) -> None:
    async with asyncio.timeout(SECONDS):
        await answers.used_up.wait()


def silent_run() -> tuple[int, float | None]:
    """No run has timed out, and none sends heartbeats."""
    return 0, None


def test_a_heartbeat_during_a_check_sets_the_timer_again() -> None:
    async def run() -> None:
        def heartbeat_comes() -> tuple[int, float | None]:
            timer.on_heartbeat()
            return silent_run()

        answers = Answers(heartbeat_comes, silent_run)
        timer = HeartbeatTimer(cast(Database, answers), 0.02, shared=False)
        timer.start()
        await use_up(answers)
        timer.stop()

    asyncio.run(run())


def test_an_unexpected_error_ends_no_look_for_silent_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat_timer, "_RETRY_SECONDS", 0.01)

    async def run() -> None:
        answers = Answers(KeyError("unexpected"), silent_run)
        timer = HeartbeatTimer(cast(Database, answers), 0.02, shared=False)
        timer.start()
        await use_up(answers)
        timer.stop()

    asyncio.run(run())


def test_an_unexpected_error_ends_no_look_for_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_timer, "_RETRY_SECONDS", 0.01)

    async def run() -> None:
        answers = Answers(KeyError("unexpected"), lambda: ([], None))
        timer = LeaseTimer(cast(Database, answers), Notifier(), ServerMeasures())
        timer.start()
        await use_up(answers)
        timer.stop()

    asyncio.run(run())


def test_an_unexpected_error_ends_no_collections(tmp_path: Path) -> None:
    class Collections(GarbageCollector):
        def __init__(self) -> None:
            nothing = cast(Any, None)
            settings = ServerSettings(data_dir=tmp_path, gc_interval_seconds=0.01)
            super().__init__(settings, nothing, nothing, nothing, {}, nothing)
            self.begun = 0
            self.second = asyncio.Event()

        async def collect(self) -> GcResult:
            self.begun += 1
            if self.begun == 1:
                raise KeyError("unexpected")
            self.second.set()
            return GcResult(0, 0, 0)

    async def run() -> None:
        collections = Collections()
        collections.start()
        async with asyncio.timeout(SECONDS):
            await collections.second.wait()
        collections.stop()

    asyncio.run(run())


def test_an_address_that_is_none_costs_its_alert_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alert_sender, "_PAUSE_SECONDS", 0.0)

    async def run() -> list[str]:
        # Such a host name is no OSError: it fails before anything is looked up.
        sender = alert_sender.AlertSender(f"http://{'x' * 70}.example/", None, "localhost")
        delivered: list[str] = []
        loop, done = asyncio.get_running_loop(), asyncio.Event()

        def deliver(alert: AlertToSend) -> None:
            delivered.append(alert.title)
            if alert.title == "second":
                loop.call_soon_threadsafe(done.set)

        sender._ways.append(("list", deliver))
        sender.start()
        for title in ("first", "second"):
            sender.send(AlertToSend("me", "p", "r", title, "m", "INFO"))
        async with asyncio.timeout(SECONDS):
            await done.wait()
        sender.stop()
        return delivered

    assert asyncio.run(run()) == ["first", "second"]
