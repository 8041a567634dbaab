"""The process that asks Google Cloud for all workers of an agent."""

import importlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

from ipc.errors import JobError
from ipc.messages import plain
from ipc.request_service import ServiceEnd
from workers.environments import CloudRefused
from workers.gcp.requests import (
    ERRORS,
    QUESTIONS,
    Answered,
    Failed,
    Gcp,
    Login,
    Question,
    Reply,
    VertexRefused,
    open_session,
)
from workers.request_service import serve

#: So many sessions are kept while nothing is asked.
MOST_IDLE = 32

log = logging.getLogger(__name__)

_decoder: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)


def main(end: ServiceEnd) -> int:
    """Ask for workers until the supervisor is gone; returns the exit code."""
    return serve(end, "requests to Google Cloud", _load_sdk, Sessions().answer)


def _load_sdk() -> None:
    # Seconds. Where it is missing, each job is told so.
    with suppress(ModuleNotFoundError):
        importlib.import_module("workers.gcp.session")


class Sessions:
    """Google Cloud by the logins of this agent's configuration; any thread. Each session is one thread's at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: dict[Login, list[Gcp]] = {}

    def answer(self, content: bytes) -> bytes:
        """Return the reply to a worker's question."""
        return msgspec.msgpack.encode(self._reply(content))

    def _reply(self, content: bytes) -> Reply:
        try:
            return Answered(msgspec.Raw(msgspec.msgpack.encode(self._value(_decoder.decode(content)))))
        except JobError as error:
            kinds = (kind.__name__ for kind in type(error).__mro__ if kind.__name__ in ERRORS)
            return Failed(next(kinds, "HostError"), plain(error.message), error.hint and plain(error.hint))
        except Exception as error:
            # The worker is told, and asks again; another question may well be answered.
            log.exception("A request to Google Cloud could not be made.")
            said = f"The agent's process that asks Google Cloud met an unexpected error: {type(error).__name__}."
            return Failed("CloudUnavailable", said)

    def _value(self, question: Question) -> Any:
        if question.name not in QUESTIONS:
            raise ValueError(f"there is no question {question.name!r}")
        with self._session(question.login) as session:
            return getattr(session, question.name)(*question.given)

    @contextmanager
    def _session(self, login: Login) -> Iterator[Gcp]:
        with self._lock:
            idle = self._idle.setdefault(login, [])
            session = idle.pop() if idle else None
        session = session or open_session(login)
        is_kept = True
        try:
            yield session
        except (CloudRefused, VertexRefused):
            # Credentials that the administrator has replaced meanwhile are read by a new one.
            is_kept = False
            raise
        finally:
            with self._lock:
                is_kept = is_kept and len(idle) < MOST_IDLE
                if is_kept:
                    idle.append(session)
            if not is_kept:
                session.close()
