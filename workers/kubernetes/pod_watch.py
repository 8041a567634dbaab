"""Tells when something about a job's pods has changed, without asking again and again."""

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import urllib3

from ipc.errors import RunnerUnavailable
from workers.kubernetes.api import GONE, ApiRefusal, KubernetesApi

#: How long one watch goes on, in seconds; the API ends it then, and the next one goes on where it stood.
WATCH_SECONDS = 600
#: How much longer the connection of a watch may be silent: then it is dead.
GRACE_SECONDS = 30.0
#: Between two watches of which the first could not be had, in seconds.
PAUSE_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)


class PodWatch:
    """A descriptor that becomes readable when a pod of the job has changed, or at a moment that was asked for.

    A thread listens to the API; it is left behind when the worker leaves.
    """

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._listener: threading.Thread | None = None
        self._timer: threading.Timer | None = None

    def watch(self, api: KubernetesApi, pods_path: str, selector: str) -> int:
        """Return the descriptor, having seen to it that the pods that ``selector`` names are watched."""
        descriptor = self._open()
        if self._listener is None:
            self._listener = threading.Thread(
                target=_listen,
                args=(api, pods_path, selector, descriptor),
                name="pods",
                daemon=True,
            )
            self._listener.start()
        return descriptor

    def clear(self) -> None:
        """Forget what was told so far; before a look, so that what comes during the look is not lost."""
        if self._descriptor is not None:
            with suppress(BlockingIOError):
                os.eventfd_read(self._descriptor)

    def wake_after(self, seconds: float) -> None:
        """Have the descriptor become readable in ``seconds``, in place of an earlier moment."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer = threading.Timer(seconds, _wake, (self._open(),))
        self._timer.daemon = True
        self._timer.start()

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        return self._descriptor


def _listen(api: KubernetesApi, pods_path: str, selector: str, descriptor: int) -> None:
    """Listen for good: a watch that ends goes on where it stood, one that is too old begins anew."""
    version, failures = "", 0
    while True:
        try:
            for event in _events(api, pods_path, selector, version):
                failures = 0
                version = _version(event)
                if event.get("type") != "BOOKMARK":
                    _wake(descriptor)
        except ApiRefusal as refusal:
            version = "" if refusal.status == GONE else version
            failures += 1
        except (RunnerUnavailable, urllib3.exceptions.HTTPError, OSError, ValueError):
            failures += 1
        if failures:
            time.sleep(PAUSE_SECONDS[min(failures, len(PAUSE_SECONDS)) - 1])
            # What happened meanwhile is for a look to find out.
            _wake(descriptor)


def _events(api: KubernetesApi, pods_path: str, selector: str, version: str) -> Iterator[dict[str, Any]]:
    """Yield what a watch tells; raises :class:`ApiRefusal` also for an error that it tells."""
    query: dict[str, str | int | bool] = {
        "watch": True,
        "labelSelector": selector,
        "timeoutSeconds": WATCH_SECONDS,
        "allowWatchBookmarks": True,
    }
    if version:
        query["resourceVersion"] = version
    with api.follow(pods_path, WATCH_SECONDS + GRACE_SECONDS, **query) as response:
        buffer = b""
        for piece in response.stream(1 << 16):
            *lines, buffer = (buffer + piece).split(b"\n")
            yield from (_told(line) for line in lines if line)


def _told(line: bytes) -> dict[str, Any]:
    event: dict[str, Any] = json.loads(line)
    if event.get("type") == "ERROR":
        status = event.get("object") or {}
        raise ApiRefusal(int(status.get("code") or 0), str(status.get("reason")), str(status.get("message")))
    return event


def _version(event: dict[str, Any]) -> str:
    return str(((event.get("object") or {}).get("metadata") or {}).get("resourceVersion") or "")


def _wake(descriptor: int) -> None:
    os.eventfd_write(descriptor, 1)
