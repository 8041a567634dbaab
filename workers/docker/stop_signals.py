"""Stop signals as images and jobs name them. Pure."""

import re
import signal

USUAL_STOP_SIGNAL = "SIGTERM"

_NUMBER = re.compile(r"\d{1,2}", re.ASCII)
_REAL_TIME = re.compile(r"RT(?:MIN(?:\+\d{1,2})?|MAX(?:-\d{1,2})?)", re.ASCII)
_NAMES = frozenset(one.name.removeprefix("SIG") for one in signal.Signals)


def is_signal(name: str | None) -> bool:
    """Return whether engines know a signal by this name or number; so they do by none, which is the usual one."""
    if not name:
        return True
    if _NUMBER.fullmatch(name):
        return 0 < int(name) < signal.NSIG
    word = name.upper().removeprefix("SIG")
    return word in _NAMES or _REAL_TIME.fullmatch(word) is not None
