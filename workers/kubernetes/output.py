"""Carries the logs of a job's pods into the files of the job: all pods, all containers, as they come.

Which pods there are is told from outside; nothing is asked here but for the logs. The cluster gives a
log in entries with times, and a note on disk says up to which entry each was taken. The log of a job with one container
is in the files once, byte for byte; where several logs are joined and a worker dies, the last second of each may be
there twice.
"""

import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from ipc.errors import RunnerUnavailable
from workers.kubernetes import records
from workers.kubernetes.api import ApiRefusal, KubernetesApi
from workers.kubernetes.records import LogPosition

Object = Mapping[str, Any]

#: A log that says nothing for so long is asked for again: its connection may be dead, in seconds.
SILENCE_SECONDS = 600.0
#: Between two questions for a log whose end came without the end of its pod, in seconds.
PAUSE_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0)
#: How often it is noted how far the logs were copied, in seconds.
NOTE_SECONDS = 1.0
#: How many logs of one job are followed at most.
MOST_LOGS = 64
#: An entry that is longer is taken in pieces.
MOST_BYTES = 1 << 20

_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)")


class Sink(Protocol):
    """Takes what the logs say; ``position`` counts the bytes that were taken so far."""

    position: int

    def write(self, data: bytes) -> None:
        """Take more."""
        ...


class Log(msgspec.Struct, frozen=True):
    """The log of one container; ``prefix`` goes before each of its lines."""

    pod: str
    container: str
    prefix: bytes = b""

    @property
    def key(self) -> str:
        """Its name among the logs of its job."""
        return f"{self.pod}/{self.container}"


class JobOutput:
    """The logs of one job. :meth:`see` is called from the thread that looks at the job, :meth:`follow` from another."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._changed = threading.Condition()
        self._logs: dict[str, Log] = {}
        self._ended: set[str] = set()
        self._is_over = False
        self._seen: tuple[object, ...] = ()
        self._news = 0

    def see(self, pods: Sequence[Object], *, is_over: bool) -> None:
        """Note the pods of the job, and whether it has ended."""
        with self._changed:
            for pod in pods:
                for log in _logs_of(pod, several=len(pods) > 1):
                    self._logs.setdefault(log.key, log)
                    if is_over or _is_over(pod):
                        self._ended.add(log.pod)
            self._is_over = is_over
            seen = (is_over, *map(_stage, pods))
            # A look that finds what the last one did is no reason to ask for a log again.
            if seen != self._seen:
                self._seen = seen
                self._news += 1
                self._changed.notify_all()

    def follow(self, api: KubernetesApi, pods_path: str, writer: Sink) -> None:
        """Copy all logs to their end; raises :class:`RunnerUnavailable`."""
        copy = _Copy(self._directory, writer)
        followers: dict[str, threading.Thread] = {}
        while True:
            with self._changed:
                fresh = [log for log in self._logs.values() if log.key not in followers][: MOST_LOGS - len(followers)]
                is_over = self._is_over
                if not fresh and not is_over:
                    self._changed.wait()
                    continue
            for log in fresh:
                followers[log.key] = self._start(api, pods_path, log, copy)
            if is_over:
                break
        for thread in followers.values():
            thread.join()
        copy.note()

    def _start(self, api: KubernetesApi, pods_path: str, log: Log, copy: "_Copy") -> threading.Thread:
        thread = threading.Thread(
            target=self._follow_one, args=(api, pods_path, log, copy), name=f"log {log.key}"[:15], daemon=True
        )
        thread.start()
        return thread

    def _follow_one(self, api: KubernetesApi, pods_path: str, log: Log, copy: "_Copy") -> None:
        failures = 0
        while not copy.is_whole(log):
            with self._changed:
                was_over, news = log.pod in self._ended or self._is_over, self._news
            try:
                has_more = copy.take(log, self._entries(api, pods_path, log, copy.since(log), follow=not was_over))
            except ApiRefusal:
                # The pod is gone, or its container has not begun.
                has_more = False
                was_over = was_over or self._wait(news, PAUSE_SECONDS[-1]) is None
            except (RunnerUnavailable, OSError):
                self._wait(news, PAUSE_SECONDS[min(failures, len(PAUSE_SECONDS) - 1)])
                failures += 1
                continue
            if was_over:
                copy.end(log)
                return
            failures = 0 if has_more else failures + 1
            self._wait(news, PAUSE_SECONDS[min(failures, len(PAUSE_SECONDS) - 1)])

    def _wait(self, news: int, seconds: float) -> int | None:
        """Wait until there is something new about the pods, ``seconds`` at most; return ``None`` if the job is over."""
        with self._changed:
            self._changed.wait_for(lambda: self._news != news, seconds)
            return None if self._is_over else self._news

    @staticmethod
    def _entries(api: KubernetesApi, pods_path: str, log: Log, since: str, *, follow: bool) -> Iterator[bytes]:
        query: dict[str, str | bool] = {"container": log.container, "timestamps": True}
        if follow:
            query["follow"] = True
        if since:
            query["sinceTime"] = since
        with api.follow(f"{pods_path}/{log.pod}/log", SILENCE_SECONDS, **query) as pieces:
            yield from _lines(pieces)


class _Copy:
    """The copy of all logs of a job; goes on where an earlier one stopped."""

    def __init__(self, directory: Path, writer: Sink) -> None:
        self._directory = directory
        self._writer = writer
        self._lock = threading.Lock()
        noted = records.read_positions(directory)
        self._positions = dict(noted.logs)
        #: Of a single log it is known what was taken after the last note.
        self._skip = writer.position - noted.written if len(self._positions) <= 1 else 0
        self._noted_at = 0.0

    def is_whole(self, log: Log) -> bool:
        """Return whether all of ``log`` was taken."""
        return self._position(log).is_whole

    def since(self, log: Log) -> str:
        """Return the time of the last entry that was taken, an empty text for none."""
        return self._position(log).last

    def take(self, log: Log, entries: Iterator[bytes]) -> bool:
        """Write the entries that were not taken yet; return whether there were any."""
        position = self._position(log)
        known = position.same
        has_more = False
        for entry in entries:
            when, text = _parted(entry, position.last)
            if when < position.last and not has_more:
                continue
            if when == position.last and not has_more and known > 0:
                known -= 1
                continue
            has_more = True
            position = LogPosition(when, position.same + 1 if when == position.last else 1)
            self._write(log, position, text)
        return has_more

    def _write(self, log: Log, position: LogPosition, text: bytes) -> None:
        with self._lock:
            line = log.prefix + text
            skipped = min(self._skip, len(line)) if self._skip > 0 else 0
            self._skip -= skipped
            if len(line) > skipped:
                self._writer.write(line[skipped:])
            self._positions[log.key] = position
            if not self._skip and time.monotonic() - self._noted_at > NOTE_SECONDS:
                self._note()

    def end(self, log: Log) -> None:
        """Note that all of ``log`` was taken."""
        with self._lock:
            self._positions[log.key] = msgspec.structs.replace(self._position(log), is_whole=True)
            self._note()

    def note(self) -> None:
        """Note how far all logs were taken."""
        with self._lock:
            self._note()

    def _note(self) -> None:
        self._noted_at = time.monotonic()
        records.write_positions(self._directory, records.Positions(self._writer.position, self._positions))

    def _position(self, log: Log) -> LogPosition:
        return self._positions.get(log.key, LogPosition())


def _logs_of(pod: Object, *, several: bool) -> Iterator[Log]:
    """Yield the logs of the containers of a pod that have begun; the lines of several are told apart."""
    name = str(pod["metadata"]["name"])
    first, own = _containers_of(pod)
    for one in filter(_has_begun, (*first, *own)):
        is_single = len(own) == 1 and one in own
        place = f"{name}/{one['name']}" if several else str(one["name"])
        yield Log(name, str(one["name"]), b"" if is_single and not several else f"[{place}] ".encode())


def _containers_of(pod: Object) -> tuple[list[Object], list[Object]]:
    """Return how the containers of a pod stand: those that run before its own, and its own."""
    status = pod.get("status") or {}
    return status.get("initContainerStatuses") or [], status.get("containerStatuses") or []


def _has_begun(container: Object) -> bool:
    state = container.get("state") or {}
    return "running" in state or "terminated" in state or bool(container.get("restartCount"))


def _stage(pod: Object) -> tuple[object, ...]:
    """Return what of a pod says whether there may be more of its logs."""
    first, own = _containers_of(pod)
    stages = ((one["name"], *(one.get("state") or {}), one.get("restartCount")) for one in (*first, *own))
    return (pod["metadata"]["name"], (pod.get("status") or {}).get("phase"), *stages)


def _is_over(pod: Object) -> bool:
    return (pod.get("status") or {}).get("phase") in ("Succeeded", "Failed")


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what comes in lines; the last may have no end."""
    buffer = b""
    for piece in pieces:
        *lines, buffer = (buffer + piece).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(buffer) > MOST_BYTES:
            yield buffer
            buffer = b""
    if buffer:
        yield buffer


def _parted(entry: bytes, last: str) -> tuple[str, bytes]:
    """Return the time and the text of an entry; what has no time goes on with the entry before it."""
    when, _, text = entry.partition(b" ")
    return (when.decode(), text) if _TIME.fullmatch(when) else (last, entry)
