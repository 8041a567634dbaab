"""A small client of the Kubernetes API: JSON in, JSON out, as the API has it.

The SDK's own calls check what they are given against models that refuse what the API takes, a number as a limit for
instance; so the SDK knows here how a cluster is reached, and nothing of what is sent there.
"""

import http.client
import json
import ssl
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlencode

from ipc.errors import HostError, RunnerUnavailable
from workers.kubernetes.access import Access, Connection, connect
from workers.kubernetes.connection import ApiConnection, is_about_certificates
from workers.retry_after import read_retry_after

Object = dict[str, Any]
Query = str | int | bool

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT = 400, 401, 403, 404, 409
GONE, TOO_LARGE, INVALID, TOO_MANY = 410, 413, 422, 429

#: How often a request that the API refuses for want of room is sent again, and after how many seconds at most.
BUSY_RETRIES = 3
MOST_RETRY_AFTER_SECONDS = 10.0
USUAL_RETRY_AFTER_SECONDS = 1.0
_RENEW = "The administrator renews the token or the certificate of the kubeconfig's user, or the pod's service account."
_MOST_REMARKS, _LONGEST_REMARK = 10, 500
#: How many bytes of an answer that goes on are read at most at a time.
_PIECE = 1 << 16


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

    Several threads may ask at the same time.
    """

    def __init__(self, access: Access, timeout_seconds: float = 30.0) -> None:
        self._access = access
        self._timeout = timeout_seconds
        self._connected: Connection | None = None
        self._idle: list[ApiConnection] = []
        self._remarks: list[str] = []
        # Who asks and is done has no need to say so.
        weakref.finalize(self, _close_all, self._idle).atexit = False

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

    def take_remarks(self) -> list[str]:
        """Return what the API has remarked, since the last call, of what it created: such as fields that it ignores."""
        found = [one[:_LONGEST_REMARK].rstrip(".") for one in dict.fromkeys(self._remarks)]
        self._remarks.clear()
        return found[:_MOST_REMARKS]

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
            if method == "POST":
                self._remarks += map(_remark, response.headers.get_all("Warning") or ())
            answer = _decoded(self._read(response))
            if answer is None:
                raise _of_another(self._connection(), response)
            return answer

    @contextmanager
    def follow(self, path: str, silence_seconds: float | None, **query: Query) -> Iterator[Iterator[bytes]]:
        """Yield an answer that goes on, in pieces; one that is silent for ``silence_seconds`` is given up.

        Raises as :meth:`request`, and so does reading.
        """
        with self._answer("GET", path, query, None, "application/json", silence_seconds) as response:
            yield _pieces(response)

    @contextmanager
    def _answer(
        self, method: str, path: str, query: dict[str, Query], body: Object | None, kind: str, silence: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        connected = self._connection()
        connection = self._open(connected)
        try:
            content = None if body is None else json.dumps(body).encode()
            headers = _headers(connected, body, kind)
            try:
                response = connection.ask(method, path + _query_text(query), content, headers, silence)
            except (http.client.HTTPException, OSError) as error:
                self._doubt(connected, error)
                raise _unavailable(error) from error
            if response.status >= 300:
                self._refuse(response, connected)
            if response.headers.get_content_type() == "text/html":
                # A page for people, to log in for instance: no log of a job either.
                raise _of_another(connected, response)
            yield response
        except BaseException:
            connection.close()
            raise
        self._keep(connected, connection, response)

    def _doubt(self, connected: Connection, error: Exception) -> None:
        """Have the way to the cluster read again where it may be another one since."""
        if connected is self._connected and (is_about_certificates(error) or connected.is_outdated()):
            self.close()

    def _open(self, connected: Connection) -> ApiConnection:
        """Return a connection: the one that was kept, if it is of use."""
        with suppress(IndexError):
            kept = self._idle.pop()
            if kept.is_usable():
                return kept
            kept.close()
        return connected.open()

    def _keep(self, connected: Connection, connection: ApiConnection, response: http.client.HTTPResponse) -> None:
        """Keep a connection whose answer was read to its end, one at most."""
        if response.isclosed() and connected is self._connected and not self._idle:
            self._idle.append(connection)
        else:
            connection.close()

    def usual_namespace(self) -> str:
        """Return the namespace of the context, or of the agent's own pod; ``default`` where neither names one.

        Raises as :meth:`connect`.
        """
        return self.connect().namespace

    def connect(self) -> Connection:
        """Make ready to ask; raises :class:`HostError` where this host does not know how to reach the cluster."""
        known = self._connected
        if known is not None and known.renewed_at is not None and time.monotonic() >= known.renewed_at:
            self.close()
            known = None
        connection = known or connect(self._access)
        self._connected = connection
        return connection

    def _connection(self) -> Connection:
        try:
            return self.connect()
        except HostError as error:
            # What was submitted runs on, also where a file of this host is gone since.
            raise RunnerUnavailable(error.message) from error

    def _refuse(self, response: http.client.HTTPResponse, connected: Connection) -> None:
        """Raise what an answer that is none means."""
        data = self._read(response)
        refusal = _refusal(response, data)
        if refusal.status == UNAUTHORIZED:
            # Credentials are replaced in the files of this host: they are read again for the next request.
            self.close()
            raise RunnerUnavailable(
                f"The Kubernetes API does not accept the credentials of this host: {refusal}.", hint=_RENEW
            )
        if refusal.status >= 500:
            raise RunnerUnavailable(f"The Kubernetes API answers with an error of its own: {refusal}.")
        if not _is_of_kubernetes(refusal, data):
            raise _of_another(connected, response)
        raise refusal

    @staticmethod
    def _read(response: http.client.HTTPResponse) -> bytes:
        try:
            return response.read()
        except (http.client.HTTPException, OSError) as error:
            raise _unavailable(error) from error

    def close(self) -> None:
        """Forget the way to the cluster: it is read again for the next request."""
        self._connected = None
        _close_all(self._idle)


def _close_all(connections: list[ApiConnection]) -> None:
    with suppress(IndexError):
        while True:
            connections.pop().close()


def _remark(header: str) -> str:
    """Return the sentence of a header ``Warning``: a number and a name go before it, and it is quoted."""
    quoted = header.split(" ", 2)[-1].strip()
    return quoted.removeprefix('"').removesuffix('"').replace('\\"', '"').replace("\\\\", "\\")


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
    """Return what went wrong, without the numbers and places that systems and libraries have for it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted ({error.verify_message})"
    if isinstance(error, TimeoutError):
        return "it took too long"
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS failed ({error.reason.lower().replace('_', ' ')})"
    said = error.strerror if isinstance(error, OSError) else None
    return (said or str(error) or type(error).__name__).rstrip(".")


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    try:
        yield from iter(lambda: response.read1(_PIECE), b"")
    except (http.client.HTTPException, OSError) as error:
        raise _unavailable(error) from error


def _decoded(data: bytes) -> Object | None:
    """Return an object of the API, ``None`` for what is none."""
    try:
        answer = json.loads(data)
    except ValueError:
        return None
    return answer if type(answer) is dict else None


def _refusal(response: http.client.HTTPResponse, data: bytes) -> ApiRefusal:
    status = _decoded(data) or {}
    message = str(status.get("message") or response.reason or f"HTTP {response.status}")[:1000]
    pause = read_retry_after(response.headers.get("Retry-After"))
    return ApiRefusal(response.status, str(status.get("reason") or ""), message.rstrip("."), pause)


def _is_of_kubernetes(refusal: ApiRefusal, data: bytes) -> bool:
    """Return whether the API said no, and not what stands before it, which knows of no job."""
    if refusal.status == TOO_MANY or (_decoded(data) or {}).get("kind") == "Status":
        return True
    # Of a group that it does not have, in a text.
    return refusal.status == NOT_FOUND and data.strip() == b"404 page not found"


def _of_another(connected: Connection, response: http.client.HTTPResponse) -> RunnerUnavailable:
    said = f"{response.status} {response.reason}".strip()
    kind = response.headers.get_content_type()
    return RunnerUnavailable(
        f"What answers at {connected.address} is no Kubernetes API: it says {said}, as {kind}.",
        hint="Correct the server in the kubeconfig of this host, or see what stands before it, such as a proxy.",
    )
