"""What errors of a database mean to those who asked. Owns the sentences; no driver's own text goes to a client."""

import logging

from sqlalchemy.exc import DataError, IntegrityError

from launchd.server.errors import Refused, ServerError, StoreUnavailable

logger = logging.getLogger(__name__)

_FULL = (
    "The queue server cannot use its database at present (disk full or damaged?). Nothing was changed; try again later."
)
_AWAY = "The queue server cannot reach its database at present; try again later."
_CONFLICT = "This is in conflict with something that the queue server has already. Nothing was changed."
_UNFIT = "The request holds a value that the database cannot keep: a number too large, or text that is none."

REFUSALS = (IntegrityError, DataError, OverflowError, UnicodeEncodeError)
"""Raised by one statement because of its values, whichever database it was sent to."""


def refusal(error: Exception) -> Refused:
    """What becomes of one of `REFUSALS`."""
    if isinstance(error, IntegrityError):
        # Code should have looked first; the client at least learns that repeating it is of no use.
        logger.error("A change broke a rule of the database.", extra={"error": str(error.orig)})
        return Refused(_CONFLICT)
    return Refused(_UNFIT)


def unusable() -> StoreUnavailable:
    """The database file failed."""
    return StoreUnavailable(_FULL)


class Reachability:
    """Whether a database on the network answers; says so in the log when that changes, and not at each request."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._away = False

    def lost(self, error: Exception) -> ServerError:
        """It did not answer. Returns what the client gets."""
        if not self._away:
            self._away = True
            logger.error("The database does not answer.", extra={"database": self._where, "error": str(error)})
        return StoreUnavailable(_AWAY)

    def answered(self) -> None:
        """It did."""
        if self._away:
            self._away = False
            logger.info("The database answers again.", extra={"database": self._where})
