"""Sentences for a terminal without the passwords in the addresses that they show. Pure."""

import re

from launchd.agent.failure_log import MASK

#: What stands before the host of an address: a name with a password, or a token in place of a name.
_USER_IN_URL = re.compile(r"(://)[^/@\s]+@")


def without_passwords(text: str) -> str:
    """Return ``text`` in which the addresses have neither users nor passwords."""
    return _USER_IN_URL.sub(rf"\1{MASK}@", text)
