"""The process that watches clusters for all workers of an agent: one watch for each namespace and kind of object.

It tells the supervisor which workloads have changed, and looks at none of them. It may die or hang: the supervisor
starts another one, and workers look by themselves as well, at longer intervals.
"""

import errno
import os
import signal
import threading
from contextlib import suppress
from multiprocessing import connection, parent_process

import msgspec
from setproctitle import setproctitle

from ipc.exits import WorkerExit
from ipc.watch_service import (
    MAX_SENTENCE,
    ForgetScope,
    WatchBegan,
    WatcherEnd,
    WatcherLives,
    WatchRefused,
    WatchReport,
    WatchScope,
    change_messages,
)
from workers.kubernetes.api import KubernetesApi
from workers.kubernetes.scope import Scope, read_scope
from workers.kubernetes.watch import CollectionWatch

#: Changes of one workload within so many seconds are told once: a pod that starts has several.
GATHER_SECONDS = 0.2


def main(end: WatcherEnd) -> int:
    """Watch until the supervisor is gone; returns the exit code."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    setproctitle("launchd: watch of Kubernetes")
    with suppress(EOFError, OSError):  # The supervisor is gone, or wants this one gone.
        Watcher(end).run()
    return WorkerExit.DONE


class ScopeChanges:
    """What the watches of one scope have found, until the supervisor is told.

    The scope is watched from the moment that all of its collections are.
    """

    def __init__(self, scope: str, paths: int, wake: int) -> None:
        self._scope = scope
        self._paths = paths
        self._wake = wake
        self._lock = threading.Lock()
        self._changed: dict[str, None] = {}
        self._watched: set[str] = set()
        self._problems: dict[str, str] = {}
        self._told: list[WatchReport] = []

    def changed(self, name: str) -> None:
        """Note a change; see :class:`workers.kubernetes.watch.ChangeListener`."""
        with self._lock:
            self._changed[name] = None
        os.eventfd_write(self._wake, 1)

    def began(self, path: str) -> None:
        """Note that a collection is watched."""
        with self._lock:
            self._problems.pop(path, None)
            self._watched.add(path)
            if len(self._watched) == self._paths:
                self._told.append(WatchBegan(self._scope))
        os.eventfd_write(self._wake, 1)

    def refused(self, path: str, why: str) -> None:
        """Note that a collection cannot be watched; the same reason is told once."""
        with self._lock:
            if self._problems.get(path) != why:
                self._problems[path] = why
                self._told.append(WatchRefused(self._scope, why[:MAX_SENTENCE]))
        os.eventfd_write(self._wake, 1)

    def take(self) -> list[WatchReport]:
        """Return what is to be told since the last call."""
        with self._lock:
            told, self._told = self._told, []
            names, self._changed = self._changed, {}
        return [*told, *change_messages(names)]


class _Watched:
    """The watches of one scope."""

    def __init__(self, scope: Scope, changes: ScopeChanges) -> None:
        api = KubernetesApi(scope.access)
        self.changes = changes
        self._watches = [CollectionWatch(api, path, scope.selector, changes) for path in scope.paths()]
        for watch in self._watches:
            watch.start()

    def end(self) -> None:
        for watch in self._watches:
            watch.end()


class Watcher:
    """Does what the supervisor asks for at the other end."""

    def __init__(self, end: WatcherEnd) -> None:
        self._end = end
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._watched: dict[str, _Watched] = {}

    def run(self) -> None:
        """Watch; raises ``OSError`` or ``EOFError`` when the supervisor is gone."""
        try:
            self._run()
        finally:
            for watched in self._watched.values():
                watched.end()

    def _run(self) -> None:
        while True:
            self._end.tell(WatcherLives())
            if self._wake in self._wait(self._wake, self._end.settings.heartbeat_seconds):
                # What belongs together comes together.
                self._wait(None, GATHER_SECONDS)
                with suppress(BlockingIOError):
                    os.eventfd_read(self._wake)
            self._serve()
            for watched in self._watched.values():
                for told in watched.changes.take():
                    self._end.tell(told)

    def _wait(self, wake: int | None, seconds: float) -> list[object]:
        parent = parent_process()
        sentinels = [] if parent is None else [parent.sentinel]
        sources = [self._end.fileno(), *sentinels, *([] if wake is None else [wake])]
        ready: list[object] = list(connection.wait(sources, seconds))
        if any(sentinel in ready for sentinel in sentinels):
            raise OSError(errno.EPIPE, "the supervisor is gone")
        return ready

    def _serve(self) -> None:
        for asked in self._end.asked():
            match asked:
                case WatchScope(scope):
                    self._watch(scope)
                case ForgetScope(scope):
                    self._forget(scope)

    def _watch(self, text: str) -> None:
        if text in self._watched:
            return
        try:
            scope = read_scope(text)
        except msgspec.DecodeError as error:
            # Of a worker of another version; its jobs are looked at in turns.
            self._end.tell(WatchRefused(text, f"What is to be watched cannot be read: {error}."[:MAX_SENTENCE]))
            return
        self._watched[text] = _Watched(scope, ScopeChanges(text, len(list(scope.paths())), self._wake))

    def _forget(self, text: str) -> None:
        watched = self._watched.pop(text, None)
        if watched is not None:
            watched.end()
