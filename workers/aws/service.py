"""The process that asks AWS for all workers of an agent, with one set of credentials and connections."""

import logging
import threading
from collections import OrderedDict
from contextlib import suppress
from typing import Any

import msgspec

from ipc.errors import HostError
from ipc.messages import plain
from ipc.request_service import ServiceEnd
from workers.aws.errors import AwsRefused, AwsThrottled
from workers.aws.requests import (
    Answered,
    Aws,
    Call,
    Login,
    Question,
    Refused,
    RegionQuestion,
    Reply,
    Unable,
    Unavailable,
    open_session,
)
from workers.environments import CloudUnavailable
from workers.request_service import serve

#: Of so many logins the sessions are kept: jobs may name regions and profiles.
MOST_SESSIONS = 32

log = logging.getLogger(__name__)

_decoder: msgspec.msgpack.Decoder[Question] = msgspec.msgpack.Decoder(Question)


def main(end: ServiceEnd) -> int:
    """Ask for workers until the supervisor is gone; returns the exit code."""
    return serve(end, "requests to AWS", _read_descriptions, Sessions().answer)


def _read_descriptions() -> None:
    """Load the SDK, and what it knows of the services that jobs need."""
    # Where the SDK is missing, each job is told so.
    with suppress(ModuleNotFoundError):
        from workers.aws.models import shared_loader  # noqa: PLC0415

        for service in ("sagemaker", "logs", "sts"):
            shared_loader().load_service_model(service, "service-2")


class Sessions:
    """AWS for all logins that were asked for lately; any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: OrderedDict[Login, Aws] = OrderedDict()

    def answer(self, content: bytes) -> bytes:
        """Return the reply to a worker's question."""
        reply = self._reply(content)
        try:
            return msgspec.msgpack.encode(reply)
        except UnicodeEncodeError:
            # A log may have half a character of UTF-16, and an error may quote it.
            return msgspec.msgpack.encode(type(reply)(*map(_plain, msgspec.structs.astuple(reply))))

    def _reply(self, content: bytes) -> Reply:
        try:
            return Answered(self._value(_decoder.decode(content)))
        except AwsRefused as error:
            return Refused(error.message, error.code, error.hint)
        except AwsThrottled as error:
            return Unavailable(error.message, error.hint, throttled=True)
        except CloudUnavailable as error:
            return Unavailable(error.message, error.hint)
        except HostError as error:
            return Unable(error.message, error.hint)
        except Exception as error:
            # The worker is told, and asks again; another question may well be answered.
            log.exception("A request to AWS could not be made.")
            return Unavailable(f"The agent's process that asks AWS met an unexpected error: {type(error).__name__}.")

    def _value(self, question: Question) -> Any:
        match question:
            case Call(login, service, operation, doing, parameters):
                return self._of(login).call(service, operation, doing, **parameters)
            case RegionQuestion(login):
                return self._of(login).region

    def _of(self, login: Login) -> Aws:
        with self._lock:
            found = self._open.get(login) or open_session(login)
            self._open[login] = found
            self._open.move_to_end(login)
            old = self._open.popitem(last=False)[1] if len(self._open) > MOST_SESSIONS else None
        if old is not None:
            old.forget()
        return found


def _plain(value: Any) -> Any:
    """Return a value of AWS's with all its texts made plain."""
    match value:
        case str():
            return plain(value)
        case dict():
            return {_plain(key): _plain(held) for key, held in value.items()}
        case list():
            return [_plain(held) for held in value]
        case _:
            return value
