"""Turns a failed HTTP exchange into one of the four errors, with a sentence for people.

Owns the classification, by exception type and status code alone. Texts of answers are only passed on, never compared.
"""

import socket
import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec
import requests

from launchd.client.errors import QueueServerError, Refused, ServerBusy, ServerUnreachable, Unauthorized

TOO_MANY_REQUESTS = 429
REQUEST_TIMEOUT = 408
LONGEST_MESSAGE = 2000

# The first of these found in the chain of causes says what happened.
REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (socket.gaierror, "its host name is not known"),
    (requests.exceptions.SSLError, "the TLS connection could not be made (certificate or protocol)"),
    (requests.exceptions.ProxyError, "the proxy between us did not pass it on"),
    (ConnectionRefusedError, "nothing listens there (connection refused)"),
    (requests.exceptions.ChunkedEncodingError, "the connection was cut in the middle of an answer"),
    (ConnectionError, "the connection was cut"),
)


def error_of_exception(error: requests.RequestException, address: str, timeout: float) -> ServerUnreachable:
    """The sentence for a request that got no answer. `timeout` is in seconds."""
    chain = list(_causes(error))
    if any(isinstance(cause, requests.Timeout) for cause in chain):
        return ServerUnreachable(f"The server at {address} did not answer within {timeout:g} s.")
    for kind, reason in REASONS:
        if any(isinstance(cause, kind) for cause in chain):
            return ServerUnreachable(f"The server at {address} cannot be reached: {reason}.")
    return ServerUnreachable(f"The server at {address} cannot be reached ({type(error).__name__}).")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The exception and all below it; urllib3 hides the system's error in `reason` and in `args`."""
    while error is not None:
        yield error
        for inner in (getattr(error, "reason", None), *error.args):
            if isinstance(inner, BaseException):
                yield from _causes(inner)
        error = error.__cause__ or error.__context__


def error_of_response(response: requests.Response, address: str) -> QueueServerError:
    """The error for any answer but a success."""
    status = response.status_code
    said = _said(response)
    if status in (401, 403):
        return Unauthorized(f"The server at {address} does not accept the API key (HTTP {status}){_colon(said)}.")
    if status >= 500 or status in (TOO_MANY_REQUESTS, REQUEST_TIMEOUT):
        return ServerBusy(f"The server at {address} cannot serve now (HTTP {status}){_colon(said)}.", _wait(response))
    if 300 <= status < 400:
        target = response.headers.get("Location", "elsewhere")
        return Refused(f"The server at {address} redirects to {target}: use that address as the base URL.")
    return Refused(said or f"The server at {address} refused the request (HTTP {status}).")


def message_of(errors: Any) -> str:
    """The sentences of GraphQL's `errors`, W&B's way: objects with a `message`, or bare strings."""
    entries = errors if isinstance(errors, list) else [errors]
    texts = [entry.get("message") if isinstance(entry, dict) else entry for entry in entries]
    return "; ".join(str(text) for text in texts if text)[:LONGEST_MESSAGE] or "The server refused without a reason."


def _said(response: requests.Response) -> str:
    """What the body says, if it is an error body as W&B's servers send it: `errors`, or the older `error`."""
    try:
        body = msgspec.json.decode(response.content)
    except (ValueError, RecursionError, requests.RequestException):
        return ""
    if not isinstance(body, dict):
        return ""
    errors = body.get("errors") or body.get("error")
    return message_of(errors) if errors else ""


def _colon(said: str) -> str:
    return f": {said.rstrip('.')}" if said else ""


def _wait(response: requests.Response) -> float | None:
    """Seconds of a Retry-After header, which may also be a date."""
    value = response.headers.get("Retry-After", "").strip()
    if not value:
        return None
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
