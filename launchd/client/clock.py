"""The clock of a server, by the header that every answer of HTTP has: how far this host's differs from it."""

import time
from email.utils import parsedate_to_datetime

import requests

from launchd.client.address import checked_address
from launchd.client.error_mapping import EXCHANGE_ERRORS, error_of_exception


def clock_difference(base_url: str, seconds: float) -> float | None:
    """Return by how many seconds this host's clock is ahead of the server's; None where the server does not say.

    It is accurate to a second or two: the header has whole seconds. ``seconds`` is the limit for the answer. No key is
    sent, for the answer to a wrong one has a date as well.

    Raises:
        ServerUnreachable: there is no answer. `Refused`: ``base_url`` is no address.
    """
    address = checked_address(base_url)
    before = time.time()
    try:
        with requests.head(address, timeout=seconds, allow_redirects=False) as answer:
            said = answer.headers.get("Date", "")
    except EXCHANGE_ERRORS as error:
        raise error_of_exception(error, address, seconds) from error
    here = (before + time.time()) / 2
    try:
        return here - (parsedate_to_datetime(said).timestamp() + 0.5)
    except (ValueError, TypeError):
        return None
