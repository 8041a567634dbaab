"""What can go wrong between us and a queue server, sorted by what the caller can do about it.

Owns the error tree alone. Nothing here looks at the text of an answer: the class is chosen by status and type
(`transport.py`), and the message is a sentence for people.
"""


class QueueServerError(Exception):
    """Root of everything a queue server can do to us. `str(error)` is one sentence for people."""


class ServerUnreachable(QueueServerError):
    """No answer came: refused, reset, not resolved, timed out, or TLS failed. Try again."""


class ServerBusy(QueueServerError):
    """The server answered that it cannot serve now (5xx, 429), or with something that is not an answer. Try again.

    `retry_after` is the number of seconds the server asked us to wait, or None where it named none.
    """

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Unauthorized(QueueServerError):
    """The API key is not accepted (401, 403). Try again slowly, and tell the operator: only a person can mend it."""


class Refused(QueueServerError):
    """The server understood and said no (any other 4xx, or GraphQL errors). Asking again gives the same answer."""
