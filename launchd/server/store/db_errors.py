"""Errors of a database as sentences for clients; no text of a driver reaches a client."""

import logging

from sqlalchemy.exc import DataError, IntegrityError

from launchd.server.errors import Refused, ServerError, StoreUnavailable

logger = logging.getLogger(__name__)

_FULL = (
    "The queue server cannot use its database at present (disk full or damaged?). Nothing was changed; try again later."
)
_AWAY = "The queue server cannot reach its database at present; try again later."
_CONFLICT = "This conflicts with something that the queue server has already. Nothing was changed."
_UNFIT = "The request holds a value that the database cannot store: a number too large, or text that is not Unicode."

REFUSALS = (IntegrityError, DataError, OverflowError, UnicodeEncodeError)
"""Raised by one statement because of its values, on either database."""


def refusal(error: Exception) -> Refused:
    """The error for one of `REFUSALS`."""
    if isinstance(error, IntegrityError):
        # The code should have checked; at least the client learns that a retry is useless.
        logger.error("A change broke a rule of the database.", extra={"error": str(error.orig)})
        return Refused(_CONFLICT)
    return Refused(_UNFIT)


def unusable() -> StoreUnavailable:
    """The error for a database file that failed."""
    return StoreUnavailable(_FULL)


class Reachability:
    """Whether a database on the network answers; logs changes, not every request."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._away = False

    def lost(self, error: Exception) -> ServerError:
        """Note that it did not answer. Returns the error for the client."""
        if not self._away:
            self._away = True
            logger.error("The database does not answer.", extra={"database": self._where, "error": str(error)})
        return StoreUnavailable(_AWAY)

    def answered(self) -> None:
        """Note that it answered."""
        if self._away:
            self._away = False
            logger.info("The database answers again.", extra={"database": self._where})
