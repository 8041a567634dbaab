"""What a container uses: the engine is asked while it runs, for its counters go with it.

The last word is from before the end, by no more than the pause between two looks.
"""

import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

import msgspec

from ipc.control_groups import Usage
from ipc.handles import ExitResult
from workers.docker import records
from workers.docker.engine import Container, Engine, EngineError
from workers.docker.records import UsageRecord

#: Between two looks, in seconds.
LOOK_SECONDS = 5.0


class _CpuUsage(msgspec.Struct, frozen=True):
    total_usage: int | None = None


class _CpuStats(msgspec.Struct, frozen=True):
    cpu_usage: _CpuUsage = _CpuUsage()


class _MemoryStats(msgspec.Struct, frozen=True):
    """Only version 1 of control groups has a ``max_usage``."""

    usage: int | None = None
    max_usage: int | None = None


class _Stats(msgspec.Struct, frozen=True):
    """What the engine counts of a container: nanoseconds and bytes."""

    cpu_stats: _CpuStats = _CpuStats()
    memory_stats: _MemoryStats = _MemoryStats()


class UsageWatch:
    """What one container has used so far, kept in the job's ``directory`` for the workers after this one."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: UsageRecord | None = None
        self._next_look = 0.0

    def look(self, engine: Engine, container: Container) -> None:
        """Ask the engine, unless it was asked a moment ago; raises ``RunnerUnavailable``."""
        if time.monotonic() < self._next_look:
            return
        self._next_look = time.monotonic() + LOOK_SECONDS
        with suppress(EngineError):
            self._note(_used(engine.stats(container.id)))

    def _note(self, now: Usage) -> None:
        before = self._so_far()
        peak = max(now.peak_memory_bytes or 0, before.peak_memory_bytes or 0)
        cpu = before.cpu_seconds if now.cpu_seconds is None else now.cpu_seconds
        self._seen = UsageRecord(cpu, peak or None)
        with suppress(OSError):
            records.write_usage(self._directory, self._seen)

    def _so_far(self) -> UsageRecord:
        return self._seen or records.read_usage(self._directory) or UsageRecord()

    def completed(self, result: ExitResult, container: Container) -> ExitResult:
        """Return ``result`` with what was seen of an ended container, and how long it ran."""
        seen = self._so_far()
        return msgspec.structs.replace(
            result,
            cpu_seconds=seen.cpu_seconds,
            peak_memory_bytes=seen.peak_memory_bytes,
            run_seconds=_seconds_between(container.state.started_at, container.state.finished_at),
        )


def _used(found: object) -> Usage:
    """Return what a container has used, as far as the engine counts it."""
    try:
        stats = msgspec.convert(found, _Stats)
    except msgspec.ValidationError:
        # Podman says null where it counts nothing.
        return Usage()
    spent, memory = stats.cpu_stats.cpu_usage.total_usage, stats.memory_stats
    # Of one that has just ended the engine counts nothing.
    return Usage(spent / 1e9 if spent else None, memory.max_usage or memory.usage)


def _seconds_between(start: str, end: str) -> float | None:
    """Return the seconds between two times as an engine writes them; None where one is not set."""
    try:
        seconds = (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()
    except (ValueError, TypeError):
        return None
    # What was never started, or has not ended, has the year 1.
    return seconds if seconds >= 0 and not start.startswith("0001") else None
