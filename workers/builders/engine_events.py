"""Has a container engine do what takes long, while the job can be stopped; what makes no progress is given up."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from multiprocessing import connection
from typing import Any

from ipc.errors import RunnerUnavailable
from workers.context import JobContext
from workers.docker.engine import Engine, EngineError

#: Asks the engine and yields its events.
Ask = Callable[[Engine], Iterator[Mapping[str, Any]]]

_LOOK_SECONDS = 1.0


class EngineFailed(Exception):
    """The engine did not do it; the message is a sentence."""


class _Asked(threading.Thread):
    """One request, in a thread of its own: it is left alone where it is not waited for any more."""

    def __init__(self, address: str, ask: Ask) -> None:
        super().__init__(name="engine", daemon=True)
        self._address = address
        self._ask = ask
        self.lines: deque[str] = deque()
        self.moved_at = time.monotonic()
        self.failure: Exception | None = None
        self.error: str | None = None
        self.reader, self._writer = os.pipe2(os.O_CLOEXEC)
        self._statuses: dict[str, str] = {}

    def run(self) -> None:
        """Ask; a byte in :attr:`reader` for each line, its closing is the end."""
        engine = Engine(self._address)
        try:
            for event in self._ask(engine):
                self.moved_at = time.monotonic()
                self._take(event)
        except (EngineError, RunnerUnavailable) as error:
            self.failure = error
        except BrokenPipeError:
            # It is not waited for any more.
            pass
        finally:
            engine.close()
            os.close(self._writer)

    def _take(self, event: Mapping[str, Any]) -> None:
        self.error = event.get("error") or self.error
        for line in self._lines(event):
            self.lines.append(line)
            os.write(self._writer, b".")

    def _lines(self, event: Mapping[str, Any]) -> Iterator[str]:
        text = str(event.get("stream") or "")
        yield from filter(None, text.replace("\r", "\n").split("\n"))
        part, status = str(event.get("id") or ""), str(event.get("status") or "")
        if status and self._statuses.get(part) != status:
            self._statuses[part] = status
            yield f"{part}: {status}" if part else status


def follow_events(
    engine: Engine, ask: Ask, context: JobContext, silence: tuple[float, str], on_line: Callable[[str], None]
) -> None:
    """Have ``engine`` do what ``ask`` asks for; ``on_line`` gets what it says.

    ``silence`` is how long it may say nothing, in seconds, and the key of ``launch-config.yaml`` that says so.

    Raises:
        EngineFailed: it refused, failed, or made no progress for so long.
        RunnerUnavailable: it does not answer.
        JobCancelled: the job was stopped meanwhile.
    """
    silent_seconds, key = silence
    running = _Asked(engine.address, ask)
    running.start()
    try:
        while _next(running, context, on_line):
            if time.monotonic() - running.moved_at > silent_seconds:
                raise EngineFailed(f"The container engine made no progress for {silent_seconds:g} s ({key}).")
        running.join()
    finally:
        os.close(running.reader)
    _raise_failure(running)


def _next(running: _Asked, context: JobContext, on_line: Callable[[str], None]) -> bool:
    """Take what has come; return whether there may be more."""
    ready = connection.wait([running.reader, context.signal_fileno()], _LOOK_SECONDS)
    context.raise_if_interrupted()
    if not ready:
        return True
    arrived = os.read(running.reader, 4096)
    for _ in arrived:
        on_line(running.lines.popleft())
    return bool(arrived)


def _raise_failure(done: _Asked) -> None:
    match done.failure:
        case EngineError() as error:
            raise EngineFailed(f"The container engine refused it: {error.explanation}.")
        case RunnerUnavailable() as error:
            raise error
        case _:
            pass
    if done.error is not None:
        raise EngineFailed(f"The container engine said: {done.error.strip().rstrip('.')}.")
