"""The process that watches clusters, as a thread of the tests' own process, and what it has told."""

import threading

from ipc.watch_service import (
    WatchBegan,
    WatcherPeer,
    WatchRefused,
    WatchReport,
    WatchScope,
    WatchSettings,
    WorkloadsChanged,
    open_pipes,
)
from tests.support.waiting import wait_until
from workers.kubernetes.access import Access
from workers.kubernetes.discovery import JOBS, Kind
from workers.kubernetes.scope import Scope, scope_text
from workers.kubernetes.watcher import Watcher


class WatchService:
    """What watches the cluster of a kubeconfig for the agent with a mark."""

    def __init__(self, config_file: str, mark: str) -> None:
        self._config = config_file
        self._mark = mark
        self.peer, self._end = open_pipes(WatchSettings(0.1))
        self.told: list[WatchReport] = []
        self._threads = [threading.Thread(target=self._run), threading.Thread(target=self._hear, args=(self.peer,))]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        try:
            Watcher(self._end).run()
        except (EOFError, OSError):
            self._end.close()

    def _hear(self, peer: WatcherPeer) -> None:
        try:
            while True:
                self.told.append(peer.hear())
        except (EOFError, OSError):
            return

    def close(self) -> None:
        self.peer._asks.close()
        for thread in self._threads:
            thread.join()
        self.peer._hears.close()

    def scope(self, namespace: str = "default", kind: Kind = JOBS) -> str:
        text = scope_text(Scope(Access(self._config), namespace, kind, self._mark))
        assert text is not None
        return text

    def watch(self, namespace: str = "default", kind: Kind = JOBS) -> str:
        """Have a namespace watched; returns once it is."""
        scope = self.scope(namespace, kind)
        self.peer.ask(WatchScope(scope))
        wait_until(lambda: WatchBegan(scope) in self.told, what="the watch begins")
        return scope

    def changed(self) -> set[str]:
        return {name for told in self.told for name in (told.names if type(told) is WorkloadsChanged else ())}

    def times_changed(self, name: str) -> int:
        return sum(name in told.names for told in self.told if type(told) is WorkloadsChanged)

    def refusals(self) -> list[str]:
        return [told.why for told in self.told if type(told) is WatchRefused]

    def wait_changed(self, name: str) -> None:
        wait_until(lambda: name in self.changed(), what=f"the change of {name} is told")
