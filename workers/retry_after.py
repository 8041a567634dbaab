"""How long a server asks to be left alone: HTTP's header ``Retry-After``, a number of seconds or a date."""

import re
import time
from email.utils import parsedate_to_datetime

#: No server is taken at its word for longer, in seconds: a day.
MOST_SECONDS = 86_400.0

_NUMBER = re.compile(r"\d{1,9}(\.\d{1,9})?", re.ASCII)


def read_retry_after(value: str | None) -> float | None:
    """Return the seconds that the header's ``value`` asks for, 0 for a date that is over, None where it says none."""
    text = (value or "").strip()
    if _NUMBER.fullmatch(text):
        return min(float(text), MOST_SECONDS)
    try:
        left = parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, left), MOST_SECONDS)
