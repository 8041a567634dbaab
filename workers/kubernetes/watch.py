"""One watch of one collection of a cluster's API: it goes on where it stood, and begins anew where it cannot."""

import random
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Protocol

import msgspec

from ipc.errors import RunnerUnavailable
from workers.kubernetes.api import FORBIDDEN, GONE, NOT_FOUND, ApiRefusal, KubernetesApi
from workers.kubernetes.names import NAME_LABEL

#: How long one watch goes on, in seconds, a little more or less: all at the same time would come back at the same time.
WATCH_SECONDS = 300
#: How much longer the connection of a watch may be silent: then it is dead.
GRACE_SECONDS = 30.0
#: Before a watch that could not be had is asked for again, in seconds.
PAUSE_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
#: Likewise, for one that the cluster does not grant: its administrator may.
REFUSED_SECONDS = 300.0
#: The longest pause that the API can ask for, in seconds.
MOST_RETRY_AFTER_SECONDS = 60.0
#: The longest event, in bytes; the objects of a cluster are shorter.
MOST_BYTES = 16 << 20


class _Metadata(msgspec.Struct):
    resourceVersion: str = ""  # noqa: N815 (the API's word, here and below)
    labels: dict[str, str] | None = None


class _Object(msgspec.Struct):
    metadata: _Metadata = msgspec.field(default_factory=_Metadata)
    code: int = 0
    reason: str = ""
    message: str = ""


class _Event(msgspec.Struct):
    type: str
    object: _Object


#: Of its own: what else draws at random in this process does so undisturbed.
_RANDOM = random.Random()  # noqa: S311 (no secret)

_decoder: msgspec.json.Decoder[_Event] = msgspec.json.Decoder(_Event)


class ChangeListener(Protocol):
    """Who hears what a watch finds. Called from the threads of watches."""

    def changed(self, name: str) -> None:
        """Hear that something of the workload ``name`` has changed."""
        ...

    def began(self, path: str) -> None:
        """Hear that all changes are told from now on; what came before may have been missed."""
        ...

    def refused(self, path: str, why: str) -> None:
        """Hear that there is no watch now."""
        ...


class CollectionWatch(threading.Thread):
    """Watches what ``selector`` names in the collection at ``path``, until :meth:`end`."""

    def __init__(self, api: KubernetesApi, path: str, selector: str, listener: ChangeListener) -> None:
        super().__init__(name="watch", daemon=True)
        self._api = api
        self._path = path
        self._selector = selector
        self._listener = listener
        self._ended = threading.Event()
        self._version = ""
        self._has_begun = False
        self._failures = 0

    def end(self) -> None:
        """Have the watch end; its thread may take as long as one watch goes on."""
        self._ended.set()

    def run(self) -> None:
        """Watch until told to end."""
        while not self._ended.is_set():
            self._ended.wait(self._watch_once())

    def _watch_once(self) -> float:
        """Watch until that ends; returns the pause before the next watch, in seconds."""
        try:
            self._watch()
        except ApiRefusal as refusal:
            return self._after_refusal(refusal)
        except RunnerUnavailable as error:
            return self._after_failure(error.message)
        except msgspec.DecodeError:
            return self._after_failure("A watch of the Kubernetes API told something that cannot be read.")
        except Exception as error:  # noqa: BLE001 (without this thread nothing would be told any more)
            return self._after_failure(f"A watch of the Kubernetes API failed: {type(error).__name__}: {error}.")
        return 0.0

    def _watch(self) -> None:
        if not self._version:
            self._version, self._has_begun = self._present_version(), False
        with self._followed() as pieces:
            if not self._has_begun:
                self._has_begun = True
                self._listener.began(self._path)
            for line in _lines(pieces):
                self._take(_told(line))
                if self._ended.is_set():
                    return

    def _present_version(self) -> str:
        """Return the version from which a watch that begins now tells all."""
        # One object is enough: the version is that of the collection.
        page = self._api.get(self._path, labelSelector=self._selector, limit=1)
        return str(page["metadata"]["resourceVersion"])

    def _followed(self) -> AbstractContextManager[Iterator[bytes]]:
        seconds = round(WATCH_SECONDS * _RANDOM.uniform(0.8, 1.2))
        query: dict[str, str | int | bool] = {
            "watch": True,
            "labelSelector": self._selector,
            "timeoutSeconds": seconds,
            "allowWatchBookmarks": True,
            "resourceVersion": self._version,
        }
        return self._api.follow(self._path, seconds + GRACE_SECONDS, **query)

    def _take(self, event: _Event) -> None:
        self._failures = 0
        self._version = event.object.metadata.resourceVersion or self._version
        name = (event.object.metadata.labels or {}).get(NAME_LABEL)
        if name is not None and event.type != "BOOKMARK":
            self._listener.changed(name)

    def _after_refusal(self, refusal: ApiRefusal) -> float:
        if refusal.status == GONE:
            # What is gone is the place where it stood. It begins anew, once at once.
            self._version = ""
            self._failures += 1
            return self._pause() if self._failures > 1 else 0.0
        if refusal.status in (FORBIDDEN, NOT_FOUND):
            self._version = ""
            self._listener.refused(self._path, f"Kubernetes does not grant a watch: {refusal.message}.")
            return REFUSED_SECONDS
        pause = self._after_failure(f"Kubernetes refuses a watch: {refusal.message}.")
        return max(pause, min(refusal.retry_after or 0.0, MOST_RETRY_AFTER_SECONDS))

    def _after_failure(self, why: str) -> float:
        self._failures += 1
        # One that breaks off may well go on at once, which is not worth a sentence.
        if self._failures > 1:
            self._listener.refused(self._path, why)
        return self._pause()

    def _pause(self) -> float:
        longest = PAUSE_SECONDS[min(self._failures, len(PAUSE_SECONDS)) - 1]
        return longest * _RANDOM.uniform(0.5, 1.0)


def _lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    buffer = b""
    for piece in pieces:
        *lines, buffer = (buffer + piece).split(b"\n")
        yield from filter(None, lines)
        if len(buffer) > MOST_BYTES:
            raise RunnerUnavailable("The Kubernetes API told of an object that is too long.")


def _told(line: bytes) -> _Event:
    event = _decoder.decode(line)
    if event.type == "ERROR":
        raise ApiRefusal(event.object.code, event.object.reason, event.object.message)
    return event
