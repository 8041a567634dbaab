"""Which workers wait for changes of their workloads, and what watches the targets for them.

Passes on that a workload has changed; how it stands is for its worker to find out. What is lost on the way costs no
job: each worker looks by itself as well. Main thread only.
"""

import logging
import time
from collections.abc import Callable, Iterable
from typing import Protocol

import msgspec

from ipc.messages import LookAgain
from ipc.targets import find_target
from ipc.watch_service import WatchBegan, WatcherLives, WatchRefused, WatchReport, WorkloadsChanged
from launchd.agent.events import EventQueue, WatcherEnded, WatcherReported, WatchEvent
from launchd.agent.job_record import JobRecord
from launchd.agent.ports import JobWorkers
from launchd.agent.watch_link import WatchLink
from launchd.config import SupervisionConfig

#: How many workers are told at a time, once a second, that they may have missed something: each asks its target then.
TOLD_AT_ONCE = 25

#: How long a scope that no job is in stays watched, in seconds: the next job may come soon.
LINGER_SECONDS = 60.0

log = logging.getLogger(__name__)


class Link(Protocol):
    """The process that watches one target; see :class:`launchd.agent.watch_link.WatchLink`."""

    def set_scopes(self, scopes: frozenset[str]) -> None:
        """Have ``scopes`` watched, and nothing else."""
        ...

    def end(self) -> None:
        """Have it end."""
        ...


class Place(msgspec.Struct, frozen=True):
    """Where a workload is: a scope, in words of the target ``resource``."""

    resource: str
    scope: str


class _Waiting(msgspec.Struct, frozen=True):
    name: str
    place: Place


class Watches:
    """Tells workers of changes. ``open_link`` starts what watches a target: its name, and the code's path."""

    def __init__(
        self, pool: JobWorkers, open_link: Callable[[str, str], Link], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._open_link = open_link
        self._now = now
        self._links: dict[str, Link] = {}
        self._waiting: dict[str, _Waiting] = {}
        self._items: dict[str, str] = {}
        self._watched: set[Place] = set()
        self._unused: dict[Place, float] = {}
        #: Items whose workers may have missed something.
        self._owed: dict[str, None] = {}

    def add(self, job: JobRecord, scope: str) -> None:
        """Have the worker of ``job`` told of changes of its workload in ``scope``."""
        target = find_target(job.spec.resource)
        if target is None or target.watcher is None:
            return
        self.drop(job.item_id)
        place = Place(target.name, scope)
        self._waiting[job.item_id] = _Waiting(job.name, place)
        self._items[job.name] = job.item_id
        if target.name not in self._links:
            self._links[target.name] = self._open_link(target.name, target.watcher)
        self._set_scopes(target.name)
        if place in self._watched:
            # What changed between the worker's look and now could not be passed on.
            self._tell(job.item_id)

    def drop(self, item_id: str) -> None:
        """Tell no worker of the workload of this item any more: its worker has gone."""
        waiting = self._waiting.pop(item_id, None)
        if waiting is None:
            return
        self._items.pop(waiting.name, None)
        self._owed.pop(item_id, None)
        if all(other.place != waiting.place for other in self._waiting.values()):
            self._unused[waiting.place] = self._now()

    def on_event(self, event: WatchEvent) -> None:
        """Act on what a process that watches has told, or on its end."""
        match event:
            case WatcherEnded(resource):
                # What changes until the next one has begun is found out then.
                self._watched = {place for place in self._watched if place.resource != resource}
            case WatcherReported(resource, told):
                self._on_told(resource, told)

    def _on_told(self, resource: str, told: WatchReport) -> None:
        match told:
            case WorkloadsChanged(names):
                self._on_changed(names)
            case WatchBegan(scope):
                self._on_began(Place(resource, scope))
            case WatchRefused(_, why):
                log.warning(
                    "Changes of jobs cannot all be watched; each job is looked at in turns.",
                    extra={"resource": resource, "why": why},
                )
            case WatcherLives():
                pass

    def _on_changed(self, names: Iterable[str]) -> None:
        for name in names:
            item_id = self._items.get(name)
            if item_id is not None:
                self._tell(item_id)

    def _on_began(self, place: Place) -> None:
        self._watched.add(place)
        self._owed.update((item_id, None) for item_id, waiting in self._waiting.items() if waiting.place == place)
        self._tell_owed()

    def tick(self) -> None:
        """Do what is due; called about once a second."""
        self._tell_owed()
        over = [place for place, since in self._unused.items() if self._now() - since > LINGER_SECONDS]
        for place in over:
            del self._unused[place]
        for resource in {place.resource for place in over}:
            self._set_scopes(resource)

    def end(self) -> None:
        """Have all processes that watch end."""
        for link in self._links.values():
            link.end()

    def _set_scopes(self, resource: str) -> None:
        used = {waiting.place for waiting in self._waiting.values()}
        for place in used:
            self._unused.pop(place, None)
        places = {place for place in (*used, *self._unused) if place.resource == resource}
        self._watched -= {place for place in self._watched if place.resource == resource} - places
        self._links[resource].set_scopes(frozenset(place.scope for place in places))

    def _tell_owed(self) -> None:
        for item_id in list(self._owed)[:TOLD_AT_ONCE]:
            self._tell(item_id)

    def _tell(self, item_id: str) -> None:
        self._owed.pop(item_id, None)
        worker = self._pool.worker_of(item_id)
        if worker is not None:
            worker.offer(LookAgain())


def watches(pool: JobWorkers, events: EventQueue, config: SupervisionConfig) -> Watches:
    """Return the watches of an agent, whose processes are started with the first jobs that need them."""

    def open_link(resource: str, path: str) -> WatchLink:
        link = WatchLink(resource, path, events, config.worker_heartbeat_seconds, config.worker_silence_seconds)
        link.start()
        return link

    return Watches(pool, open_link)
