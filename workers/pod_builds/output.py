"""What the containers of a build say, as lines, while it goes on."""

import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from workers.kubernetes.api import KubernetesApi
from workers.kubernetes.output import JobOutput

#: Of the last lines, so many go into the message of a build that failed.
_KEPT_LINES = 200
_DIRECTORY = "build-output"


class BuildOutput:
    """Follows the logs of a build's pods in a thread. ``take`` gets each line, in the thread that calls :meth:`see`."""

    def __init__(self, api: KubernetesApi, pods_path: str, directory: Path, take: Callable[[str], None]) -> None:
        self._take = take
        self._place = directory / _DIRECTORY
        shutil.rmtree(self._place, ignore_errors=True)
        self._place.mkdir(mode=0o700)
        self._sink = _Sink()
        self._logs = JobOutput(self._place)
        self._thread = threading.Thread(target=self._follow, args=(api, pods_path), name="build output", daemon=True)
        self._thread.start()
        self._kept: deque[str] = deque(maxlen=_KEPT_LINES)

    def _follow(self, api: KubernetesApi, pods_path: str) -> None:
        self._logs.follow(api, pods_path, self._sink)

    @property
    def text(self) -> str:
        """The last lines."""
        return "\n".join(self._kept)

    @property
    def last_at(self) -> float:
        """When something was said last, of the monotonic clock."""
        return self._sink.last_at

    def see(self, pods: Sequence[dict[str, Any]], *, is_over: bool = False) -> None:
        """Note the pods of the build, and hand over what was said so far."""
        self._logs.see(pods, is_over=is_over)
        self._hand_over()

    def finish(self, seconds: float) -> None:
        """Wait for the end of the logs, ``seconds`` at the most, and hand it over."""
        self._logs.see([], is_over=True)
        self._thread.join(seconds)
        self._hand_over()
        with suppress(OSError):
            shutil.rmtree(self._place)

    def _hand_over(self) -> None:
        for line in self._sink.lines():
            self._kept.append(line)
            self._take(line)


class _Sink:
    """Takes what is said, and gives it out in lines. It may be written to from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._data: list[bytes] = []
        self.position = 0
        self.last_at = time.monotonic()

    def write(self, data: bytes) -> None:
        with self._lock:
            self._data.append(data)
            self.position += len(data)
            self.last_at = time.monotonic()

    def lines(self) -> list[str]:
        with self._lock:
            data, self._data = b"".join(self._data), []
        return data.decode(errors="replace").splitlines()
