"""A small client of the Kubernetes API: JSON in, JSON out, as the API has it.

The SDK's own calls check what they are given against models that refuse what the API takes, a number as a limit for
instance; so the SDK knows here how a cluster is reached, and nothing of what is sent there.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlencode

import urllib3

from ipc.errors import HostError, RunnerUnavailable
from workers.kubernetes.access import Access, Connection, connect

Object = dict[str, Any]
Query = str | int | bool

UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, GONE, INVALID, TOO_MANY = 401, 403, 404, 409, 410, 422, 429

#: How often a request that the API refuses for want of room is sent again, and after how many seconds at most.
BUSY_RETRIES = 3
MOST_RETRY_AFTER_SECONDS = 10.0
USUAL_RETRY_AFTER_SECONDS = 1.0
CONNECT_SECONDS = 10.0


class ApiRefusal(Exception):
    """The API refused a request: ``status`` is HTTP's, ``reason`` its own word, ``message`` its sentence."""

    def __init__(self, status: int, reason: str, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class KubernetesApi:
    """The API of one cluster. ``timeout_seconds`` is for an answer; what is followed has a limit of its own.

    Several threads may ask at the same time: a connection of its own costs each of them some megabytes.
    """

    def __init__(self, access: Access, timeout_seconds: float = 30.0) -> None:
        self._access = access
        self._timeout = timeout_seconds
        self._connected: Connection | None = None

    def get(self, path: str, **query: Query) -> Object:
        """Return an object or a list; raises as :meth:`request`."""
        return self.request("GET", path, query)

    def find(self, path: str, **query: Query) -> Object | None:
        """Return an object, ``None`` where there is none; raises as :meth:`request`."""
        try:
            return self.get(path, **query)
        except ApiRefusal as refusal:
            if refusal.status == NOT_FOUND:
                return None
            raise

    def create(self, path: str, body: Object) -> Object:
        """Create an object; raises as :meth:`request`."""
        return self.request("POST", path, {}, body)

    def patch(self, path: str, body: Object) -> Object:
        """Merge ``body`` into an object; raises as :meth:`request`."""
        return self.request("PATCH", path, {}, body, "application/merge-patch+json")

    def delete(self, path: str, body: Object | None = None, **query: Query) -> bool:
        """Delete an object, or all that ``query`` selects; returns whether there was one."""
        try:
            self.request("DELETE", path, query, body)
        except ApiRefusal as refusal:
            if refusal.status == NOT_FOUND:
                return False
            raise
        return True

    def request(
        self,
        method: str,
        path: str,
        query: dict[str, Query],
        body: Object | None = None,
        kind: str = "application/json",
    ) -> Object:
        """Send a request and return its answer.

        Raises:
            ApiRefusal: the API refused it.
            RunnerUnavailable: no answer, or one that says nothing about the request.
        """
        for attempt in range(BUSY_RETRIES + 1):
            try:
                return self._once(method, path, query, body, kind)
            except ApiRefusal as refusal:
                if refusal.status != TOO_MANY:
                    raise
                if attempt == BUSY_RETRIES:
                    raise RunnerUnavailable(f"The Kubernetes API is too busy: {refusal.message}.") from refusal
                time.sleep(min(refusal.retry_after or USUAL_RETRY_AFTER_SECONDS, MOST_RETRY_AFTER_SECONDS))
        raise AssertionError

    def _once(self, method: str, path: str, query: dict[str, Query], body: Object | None, kind: str) -> Object:
        with self._answer(method, path, query, body, kind, self._timeout) as response:
            return _decoded(self._read(response))

    @contextmanager
    def follow(self, path: str, silence_seconds: float | None, **query: Query) -> Iterator[urllib3.BaseHTTPResponse]:
        """Yield an answer that goes on; one that is silent for ``silence_seconds`` is given up.

        Raises as :meth:`request`; reading raises ``urllib3.exceptions.HTTPError``.
        """
        with self._answer("GET", path, query, None, "application/json", silence_seconds) as response:
            yield response

    @contextmanager
    def _answer(
        self, method: str, path: str, query: dict[str, Query], body: Object | None, kind: str, silence: float | None
    ) -> Iterator[urllib3.BaseHTTPResponse]:
        connection = self._connection()
        try:
            response = connection.pool.request(
                method,
                f"{connection.host}{path}{_query_text(query)}",
                headers=_headers(connection, body, kind),
                body=None if body is None else json.dumps(body).encode(),
                timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=silence),
                preload_content=False,
                redirect=False,
            )
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unavailable(error) from error
        try:
            if response.status >= 300:
                self._refuse(response)
            yield response
        finally:
            with suppress(Exception):
                response.close()
            response.release_conn()

    def connect(self) -> Connection:
        """Make ready to ask; raises :class:`HostError` where this host does not know how to reach the cluster."""
        connection = self._connected or connect(self._access)
        self._connected = connection
        return connection

    def _connection(self) -> Connection:
        try:
            return self.connect()
        except HostError as error:
            # What was submitted runs on, also where a file of this host is gone since.
            raise RunnerUnavailable(error.message) from error

    def _refuse(self, response: urllib3.BaseHTTPResponse) -> None:
        """Raise what an answer that is none means."""
        refusal = _refusal(response, self._read(response))
        if refusal.status == UNAUTHORIZED:
            # Credentials are replaced in the files of this host: they are read again for the next request.
            self._connected = None
            raise RunnerUnavailable(f"The Kubernetes API does not accept the credentials of this host: {refusal}.")
        if refusal.status >= 500:
            raise RunnerUnavailable(f"The Kubernetes API answers with an error of its own: {refusal}.")
        raise refusal

    @staticmethod
    def _read(response: urllib3.BaseHTTPResponse) -> bytes:
        try:
            data: bytes = response.read()
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise _unavailable(error) from error
        return data

    def close(self) -> None:
        """Close all connections."""
        if self._connected is not None:
            self._connected.pool.clear()
            self._connected = None


def _headers(connection: Connection, body: Object | None, kind: str) -> dict[str, str]:
    headers = {"Accept": "application/json", "User-Agent": "launchd"}
    if body is not None:
        headers["Content-Type"] = kind
    authorization = connection.authorization()
    if authorization is not None:
        headers["Authorization"] = authorization
    return headers


def _query_text(query: dict[str, Query]) -> str:
    if not query:
        return ""
    return "?" + urlencode({name: str(value).lower() if value is True else value for name, value in query.items()})


def _unavailable(error: Exception) -> RunnerUnavailable:
    return RunnerUnavailable(f"The Kubernetes API does not answer: {_plain(error)}.")


def _plain(error: Exception) -> str:
    """Return what went wrong without the addresses of objects that urllib3 puts before it."""
    return str(error).rpartition(">: ")[2].rstrip(".")


def _decoded(data: bytes) -> Object:
    try:
        answer: Object = json.loads(data)
    except ValueError as error:
        raise RunnerUnavailable("The Kubernetes API gave an answer that is no JSON.") from error
    return answer


def _refusal(response: urllib3.BaseHTTPResponse, data: bytes) -> ApiRefusal:
    try:
        status: Object = json.loads(data)
    except ValueError:
        status = {}
    message = str(status.get("message") or response.reason or f"HTTP {response.status}")[:1000]
    return ApiRefusal(response.status, str(status.get("reason") or ""), message.rstrip("."), _retry_after(response))


def _retry_after(response: urllib3.BaseHTTPResponse) -> float | None:
    try:
        return float(response.headers.get("Retry-After", ""))
    except ValueError:
        return None
