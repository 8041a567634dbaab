"""Errors of requests to a queue server, one class for each reaction of a caller.

Owns the classes alone; `error_mapping.py` chooses between them by status and type of exception, never by a text.
"""


class QueueServerError(Exception):
    """Base of all errors of a queue server. `str(error)` is one sentence for people."""


class ServerUnreachable(QueueServerError):
    """There was no response: refused, reset, not resolved, timed out, or TLS failed. Try again."""


class ServerBusy(QueueServerError):
    """The server cannot serve now (5xx, 429), or its response is no GraphQL answer (a redirect, a page). Try again.

    `retry_after` is the number of seconds that the server asked to wait, or None where it named none.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unauthorized(QueueServerError):
    """The API key is not accepted (401, 403). Try again slowly, and report it: only a person can replace the key."""


class Refused(QueueServerError):
    """The server refused the request (any other 4xx, or GraphQL errors). The same request is refused again."""


class UnknownAgent(Refused):
    """The server knows no such agent (any more): it has to be registered again."""


class SecondIncarnation(Refused):
    """Another living process is this agent."""
