"""Maps a failed HTTP exchange to one of the four errors of `errors.py`, with a sentence for people.

Owns the classification, by exception type and status code alone. Texts of responses are passed on, never compared.
"""

import http.client
import socket
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
import requests
import urllib3

from launchd.client.errors import (
    QueueServerError,
    Refused,
    SecondIncarnation,
    ServerBusy,
    ServerUnreachable,
    Unauthorized,
    UnknownAgent,
)

TOO_MANY_REQUESTS = 429
REQUEST_TIMEOUT = 408
MAX_MESSAGE_LENGTH = 2000

#: Refusals that launchd's own server marks in the `extensions` of its errors.
REFUSALS: dict[str, type[Refused]] = {"UNKNOWN_AGENT": UnknownAgent, "SECOND_INCARNATION": SecondIncarnation}

#: Reasons by type of exception: the first type that occurs in the chain of causes counts.
REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "its host name is not known"),
    (requests.exceptions.SSLError, "the TLS connection could not be made (certificate or protocol)"),
    (requests.exceptions.ProxyError, "the proxy in between did not pass it on"),
    (ConnectionRefusedError, "nothing listens there (connection refused)"),
    (urllib3.exceptions.IncompleteRead, "the connection was cut in the middle of an answer"),
    (requests.exceptions.ChunkedEncodingError, "the connection was cut in the middle of an answer"),
    (ConnectionError, "the connection was cut"),
    # After the one before: a connection that was cut is a bad status line to Python, too.
    (http.client.HTTPException, "what answers there does not speak HTTP; see that port and scheme (https) are right"),
    (urllib3.exceptions.DecodeError, "its answer cannot be unpacked"),
)

#: What a foreign answer with a status means, where that is known.
FOREIGN = {
    407: "The proxy before {address} wants a name and a password (HTTP 407).",
    413: "A proxy before {address} takes no request of this size (HTTP 413): its administrator sets how much it takes.",
}


TIMEOUTS = (requests.Timeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)

#: Exceptions of requests and of urllib3 for an exchange that failed.
EXCHANGE_ERRORS = (requests.RequestException, urllib3.exceptions.HTTPError, TimeoutError)


def error_of_exception(error: Exception, address: str, timeout: float) -> ServerUnreachable:
    """Return the error for a request that got no response. `timeout` is in seconds."""
    chain = list(_causes(error))
    if any(isinstance(cause, TIMEOUTS) for cause in chain):
        return ServerUnreachable(f"The server at {address} did not answer within {timeout:g} s.")
    for error_type, reason in REASONS:
        if any(isinstance(cause, error_type) for cause in chain):
            return ServerUnreachable(f"The server at {address} cannot be reached: {reason}.")
    return ServerUnreachable(f"The server at {address} cannot be reached ({type(error).__name__}).")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield the exception and all its causes; urllib3 keeps the system's error in `reason` and in `args`."""
    while error is not None:
        yield error
        for inner in (getattr(error, "reason", None), *error.args):
            if isinstance(inner, BaseException):
                yield from _causes(inner)
        error = error.__cause__ or error.__context__


def error_of_response(response: requests.Response, body: bytes, address: str) -> QueueServerError:
    """Return the error for a response that is no success. A redirect, and a foreign 4xx, are a proxy's."""
    status = response.status_code
    decoded = _decoded(body)
    text = _error_text(decoded)
    if status in (401, 403):
        foreign = "" if isinstance(decoded, dict) else ", or a proxy before it refuses the request"
        return Unauthorized(
            f"The server at {address} does not accept the API key (HTTP {status}){foreign}{_colon(text)}."
        )
    if status >= 500 or status in (TOO_MANY_REQUESTS, REQUEST_TIMEOUT):
        return ServerBusy(
            f"The server at {address} cannot serve now (HTTP {status}){_colon(text)}.", _retry_after(response)
        )
    if 300 <= status < 400:
        target = response.headers.get("Location", "elsewhere")
        return ServerBusy(
            f"What answers at {address} redirects to {target} (HTTP {status}), which is no answer of a queue server: a"
            " proxy or a login page may be before it, or the server has another address.",
            _retry_after(response),
        )
    if not is_refusal(decoded):
        sentence = FOREIGN.get(
            status,
            "What answers at {address} is no queue server, or a proxy before one (HTTP {status}). Check the address.",
        )
        return ServerBusy(sentence.format(address=address, status=status), _retry_after(response))
    return refusal_of(decoded["errors"])


def error_of_content(body: bytes, address: str, operation: str) -> ServerBusy:
    """Return the error for a successful response whose content is no answer to the operation."""
    decoded = _decoded(body)
    if isinstance(decoded, dict) and "data" in decoded:
        return ServerBusy(f"The server at {address} sent an answer that cannot be understood (to {operation}).")
    what = "a web page" if body.lstrip().startswith(b"<") else "something else"
    return ServerBusy(
        f"What answers at {address} is no queue server, or a proxy before one: it sent {what} in place of an answer"
        f" (to {operation}). Check the address."
    )


def refusal_of(errors: list[Any]) -> Refused:
    """Return the error for GraphQL's `errors`, by the code that the server gives the first of them."""
    first = errors[0]
    extensions = first.get("extensions") if isinstance(first, dict) else None
    code = extensions.get("code") if isinstance(extensions, dict) else None
    kind = REFUSALS.get(code, Refused) if isinstance(code, str) else Refused
    return kind(message_of(errors))


def is_refusal(decoded: Any) -> bool:
    """Return whether a decoded body is a GraphQL server's refusal: `errors`, a list of objects or of strings."""
    errors = decoded.get("errors") if isinstance(decoded, dict) else None
    return isinstance(errors, list) and bool(errors) and all(isinstance(error, dict | str) for error in errors)


def message_of(errors: Any) -> str:
    """Return the messages in GraphQL's `errors`: objects with a `message`, or strings, as W&B's server sends them."""
    entries = errors if isinstance(errors, list) else [errors]
    texts = [entry.get("message") if isinstance(entry, dict) else entry for entry in entries]
    return "; ".join(str(text) for text in texts if text)[:MAX_MESSAGE_LENGTH] or "The server refused without a reason."


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (ValueError, RecursionError):
        return None


def _error_text(decoded: Any) -> str:
    """Return the text of an error body as W&B's servers send it: `errors`, or the older `error`."""
    errors = (decoded.get("errors") or decoded.get("error")) if isinstance(decoded, dict) else None
    return message_of(errors) if errors else ""


def _colon(text: str) -> str:
    return f": {text.rstrip('.')}" if text else ""


def _retry_after(response: requests.Response) -> float | None:
    """Return the seconds in a Retry-After header, which may also be a date."""
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
