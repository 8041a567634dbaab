"""Errors of the queue server. Each message is a sentence for the sender of the request."""


class ServerError(Exception):
    """Base of all errors. `status` is the HTTP status of the response, `code` stands in the error's `extensions`."""

    status = 500
    code: str | None = None


class Refused(ServerError):
    """The request is refused; sending it again does not help (400)."""

    status = 400
    code = "REFUSED"


class NotAllowed(Refused):
    """The caller is known but may not do this (403)."""

    status = 403


class NotFound(Refused):
    """An object named by a mutation does not exist, or the caller may not see it (404)."""

    status = 404


class UnknownAgent(NotFound):
    """There is no such launch agent: it has to register anew (404)."""

    code = "UNKNOWN_AGENT"


class SecondIncarnation(Refused):
    """Another process is this launch agent (409)."""

    status = 409
    code = "SECOND_INCARNATION"


class Unauthorized(ServerError):
    """No API key, or one that this server does not know (401)."""

    status = 401


class StoreUnavailable(ServerError):
    """The database or the disk failed; the same request may succeed later (503)."""

    status = 503


class TooSlow(ServerError):
    """The request timed out; it may succeed when repeated (503, which W&B's clients repeat)."""

    status = 503


class TooManyRequests(ServerError):
    """The caller asks too much at a time; the same request may succeed after `retry_after` seconds (429)."""

    status = 429

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BackupFailed(Exception):
    """A backup cannot be made, or cannot be restored."""


class CannotStart(Exception):
    """The server cannot start: another one runs, the port is taken, or the data directory cannot be used."""
