"""HTTP to a queue server: sessions and timeouts.

Owns the `requests` sessions, one per thread, and raises the errors of `errors.py` alone; which statuses may be retried
follows W&B's clients. It retries nothing itself: the caller decides how long to try.
"""

import math
import threading
import time
import weakref
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import msgspec
import requests

from launchd import __version__
from launchd.client.address import checked_address, is_loopback
from launchd.client.error_mapping import (
    EXCHANGE_ERRORS,
    error_of_content,
    error_of_exception,
    error_of_response,
    refusal_of,
)
from launchd.client.errors import Refused
from launchd.client.operations.operation import Operation
from launchd.client.ratelimit import RateLimit
from launchd.client.responses import GraphQLResponse

T = TypeVar("T")

CONNECT_TIMEOUT_SECONDS = 10.0
MIN_TIMEOUT_SECONDS = 1.0  # the least time for a response, also where a deadline leaves less
CHUNK_BYTES = 1 << 20
_any_response_decoder = msgspec.json.Decoder(GraphQLResponse[Any])
AUTHOR_HEADER = "X-WANDB-USERNAME"
BASIC_USER = "api"  # W&B's fixed user name of HTTP Basic; the key is the password


class Transport:
    """Sends operations, uploads and downloads files. Thread-safe. `timeout`: seconds of each wait for the server."""

    def __init__(self, base_url: str, api_key: str, timeout: float, author: str | None = None) -> None:
        self.base_url = checked_address(base_url)
        self._graphql_url = f"{self.base_url}/graphql"
        credentials = b64encode(f"{BASIC_USER}:{api_key}".encode()).decode()
        self._headers = {
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/json",
            "User-Agent": f"launchd {__version__}",
        }
        #: The server's rate limit, for callers that poll.
        self.rate_limit = RateLimit()
        if author:
            self._headers[AUTHOR_HEADER] = _checked_header(author)
        self._timeout = timeout
        self._local = threading.local()
        self._sessions: weakref.WeakSet[requests.Session] = weakref.WeakSet()

    def call(self, operation: Operation[T], variables: Mapping[str, Any], wait_seconds: float = 0.0) -> T:
        """Send an operation and return its `data`. `wait_seconds` is added to the timeout, for operations that wait."""
        body = encoded({"operationName": operation.name, "query": operation.text, "variables": variables})
        session, request = self._graphql()
        request.prepare_body(body, None)
        with self._exchange() as timeout:
            limits = _timeouts(timeout, wait_seconds)
            response = session.send(request, timeout=limits, allow_redirects=False, stream=True)
            with response:
                content = _content(response, timeout)
        self.rate_limit.update(response.headers)
        if response.status_code != 200:
            raise error_of_response(response, content, self.base_url)
        return self._data(operation, content)

    def _data(self, operation: Operation[T], body: bytes) -> T:
        answer = decoded(operation.decode, body)
        if answer is None:
            # `data` has another shape where a field that must not be null failed; `errors` has the reason.
            failed = decoded(_any_response_decoder.decode, body)
            errors = failed.errors if failed else None
        else:
            errors = answer.errors
        if errors:
            raise refusal_of(errors)
        if answer is None or answer.data is None:
            raise error_of_content(body, self.base_url, operation.name)
        return answer.data

    def post(self, path: str, value: Mapping[str, Any]) -> None:
        """POST `value` as JSON to a `path` of the server that is not GraphQL; the response is not decoded."""
        self._send_file("POST", f"{self.base_url}/{path}", self._headers, encoded(value), self.base_url)

    def read(self, path: str, query: Mapping[str, Any], header: str, wait_seconds: float) -> tuple[str, bytes]:
        """GET a `path` of the server that answers with bytes; returns the `header` that describes them, and them.

        `wait_seconds` is added to the timeout, for what waits until there is something.
        """
        with self._exchange() as timeout:
            limits = _timeouts(timeout, wait_seconds)
            response = self._file_session().get(
                f"{self.base_url}/{path}",
                params=dict(query),
                headers=self._headers,
                auth=_no_auth,
                timeout=limits,
                allow_redirects=False,
                stream=True,
            )
            with response:
                content = _content(response, timeout)
        if response.status_code != 200:
            raise error_of_response(response, content, self.base_url)
        return response.headers.get(header, ""), content

    def send(self, path: str, query: Mapping[str, Any], content: bytes) -> bytes:
        """POST bytes to a `path` of the server; returns its answer."""
        headers = self._headers | {"Content-Type": "application/octet-stream"}
        return self._send_file("POST", f"{self.base_url}/{path}", headers, content, self.base_url, query)

    def upload(self, url: str, headers: Mapping[str, str], content: bytes | BinaryIO) -> None:
        """PUT `content` to a storage URL from the server. No key is sent: the URL is signed."""
        self._send_file("PUT", url, headers, content, _origin_of(url))

    def ask_storage(self, url: str, content: bytes) -> bytes:
        """POST `content` to a storage URL from the server, as JSON; returns the answer. No key is sent."""
        return self._send_file("POST", url, {"Content-Type": "application/json"}, content, _origin_of(url))

    def _send_file(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        content: bytes | BinaryIO,
        address: str,
        query: Mapping[str, Any] | None = None,
    ) -> bytes:
        with self._exchange() as timeout:
            response = self._file_session().request(
                method,
                url,
                params=query,
                data=content,
                headers=dict(headers),
                auth=_no_auth,
                proxies=_direct(url),
                timeout=_timeouts(timeout),
                stream=True,
            )
            with response:
                answer = _content(response, timeout)
        if not response.ok:
            raise error_of_response(response, answer, address)
        return answer

    @contextmanager
    def download(self, url: str) -> Iterator[Iterator[bytes]]:
        """GET a storage URL without a key; yields the content in pieces."""
        with self._exchange() as timeout:
            response = self._file_session().get(
                url, auth=_no_auth, stream=True, timeout=_timeouts(timeout), proxies=_direct(url)
            )
            with response:
                if not response.ok:
                    raise error_of_response(response, response.content, _origin_of(url))
                yield response.iter_content(CHUNK_BYTES)

    @contextmanager
    def until(self, deadline: float) -> Iterator[None]:
        """Limit the waits of this thread's calls to `deadline`, in seconds of the monotonic clock."""
        self._local.deadline = deadline
        try:
            yield
        finally:
            del self._local.deadline

    def close(self) -> None:
        """Drop the idle connections of all threads. A call under way in another thread ends by itself."""
        for session in list(self._sessions):
            session.close()

    @contextmanager
    def _exchange(self) -> Iterator[float]:
        """Translate exceptions of an exchange; yields its timeout in seconds."""
        left = getattr(self._local, "deadline", math.inf) - time.monotonic()
        timeout = min(self._timeout, max(left, MIN_TIMEOUT_SECONDS))
        try:
            yield timeout
        except EXCHANGE_ERRORS as error:
            raise error_of_exception(error, self.base_url, timeout) from error

    def _graphql(self) -> tuple[requests.Session, requests.PreparedRequest]:
        """Return this thread's session and its request, prepared once: only the body changes from call to call."""
        pair: tuple[requests.Session, requests.PreparedRequest] | None = getattr(self._local, "graphql", None)
        if pair is None:
            session = self._open(requests.Session())
            # Proxies and certificates from the environment are looked up once, here: per call they cost more than the
            # whole request, and would bring in netrc's credentials beside the key.
            settings = session.merge_environment_settings(self._graphql_url, {}, None, None, None)
            session.proxies = {} if is_loopback(urlsplit(self.base_url).hostname) else settings["proxies"]
            session.verify = settings["verify"]
            session.trust_env = False
            request = session.prepare_request(requests.Request("POST", self._graphql_url, headers=self._headers))
            pair = self._local.graphql = (session, request)
        return pair

    def _file_session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "files", None)
        if session is None:
            session = self._local.files = self._open(requests.Session())
        return session

    def _open(self, session: requests.Session) -> requests.Session:
        self._sessions.add(session)
        return session


def _timeouts(timeout: float, wait_seconds: float = 0.0) -> tuple[float, float]:
    """Return the timeouts of a request, for `requests`: to connect, and for each wait for the response."""
    return min(CONNECT_TIMEOUT_SECONDS, timeout), timeout + wait_seconds


def _content(response: requests.Response, seconds: float) -> bytes:
    """Return the whole body; raises `TimeoutError` after `seconds`, also where bytes keep trickling in."""
    give_up_at = time.monotonic() + seconds
    pieces: list[bytes] = []
    while piece := response.raw.read1(CHUNK_BYTES, decode_content=True):
        pieces.append(piece)
        if time.monotonic() > give_up_at:
            raise TimeoutError
    return b"".join(pieces)


def encoded(value: object) -> bytes:
    """Return `value` as JSON. Raises `Refused` for a value that JSON cannot hold, such as text that is not Unicode."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError as error:
        wrong = error.object[max(0, error.start - 20) : error.end + 20]
        raise Refused(f"This cannot be sent to a queue server: {wrong!r} is no Unicode text.") from error
    except (TypeError, ValueError) as error:
        raise Refused(f"This cannot be sent to a queue server: {error}.") from error


def decoded(decode: Callable[[bytes], T], body: bytes) -> T | None:
    """Return the decoded body, or None where `decode` cannot read it."""
    try:
        return decode(body)
    except (ValueError, RecursionError):
        return None


def _no_auth(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep requests from adding credentials from netrc: a signed URL must be sent with its signature alone."""
    return request


def _direct(url: str) -> dict[str, str]:
    """Return the proxies of a request: those of the environment, but none for this machine."""
    return dict.fromkeys(("http", "https"), "") if is_loopback(urlsplit(url).hostname) else {}


def _checked_header(author: str) -> str:
    if not author.isascii() or not author.isprintable():
        raise Refused(f"{author!r} is no user name that a queue server knows: check WANDB_USERNAME.")
    return author


def _origin_of(url: str) -> str:
    """Return scheme and host alone: the rest of a storage URL is a credential."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
