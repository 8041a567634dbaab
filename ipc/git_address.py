"""The address of a git repository without what is secret in it. Pure."""

import re
from urllib.parse import unquote, urlsplit

_WITH_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def without_credentials(url: str) -> tuple[str, tuple[str, ...]]:
    """Return ``url`` fit to be shown, and what was taken out of it, the longest first.

    Raises:
        ValueError: it is no address.
    """
    if not _WITH_SCHEME.match(url):
        return url, ()
    authority = urlsplit(url).netloc
    credentials, _, host = authority.rpartition("@")
    password = credentials.partition(":")[2]
    # The user of ssh://git@host is no secret; over https it may be a token.
    if not password and url.startswith("ssh://"):
        return url, ()
    secrets = {credentials, unquote(credentials), password, unquote(password)} - {""}
    # The longest first: one may be a part of another.
    return url.replace(authority, host, 1), tuple(sorted(secrets, key=len, reverse=True))
