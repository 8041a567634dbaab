"""Errors of the queue server. Owns the one tree; each message is a sentence for the person who sent the request."""


class ServerError(Exception):
    """Root. `status` is the HTTP status of the answer."""

    status = 500


class Refused(ServerError):
    """The request is refused for good; sending it again will not help (400)."""

    status = 400


class NotAllowed(Refused):
    """The caller is known, but may not do this (403)."""

    status = 403


class NotFound(Refused):
    """What a mutation names does not exist, or the caller may not see it (404)."""

    status = 404


class Unauthorized(ServerError):
    """No key, or not a key of this server (401)."""

    status = 401


class StoreUnavailable(ServerError):
    """The database or the disk failed; the same request may succeed later (503)."""

    status = 503


class TooSlow(ServerError):
    """The request did not come to its end in time; it may when it is sent again (503, which W&B's clients repeat)."""

    status = 503


class CannotStart(Exception):
    """The server cannot start: another one runs, the port is taken, or the data directory cannot be used."""
