"""What an address says by itself: whether it can be a queue server's, and whether it is this machine's."""

from contextlib import suppress
from ipaddress import ip_address
from urllib.parse import urlsplit

from launchd.client.errors import Refused


def checked_address(base_url: str) -> str:
    """Return the address without a slash at its end; raises `Refused` where it is no address of HTTP."""
    if not _is_address(base_url):
        raise Refused(
            f"{base_url!r} is not the address of a queue server: write it as http://HOST:PORT or https://HOST."
        )
    return base_url.rstrip("/")


def is_loopback(host: str | None) -> bool:
    """Return whether `host` is this machine by its very name: no proxy reaches the same one."""
    if not host:
        return False
    with suppress(ValueError):
        return ip_address(host).is_loopback
    return host == "localhost" or host.endswith(".localhost")


def _is_address(text: str) -> bool:
    # Checked first, for urlsplit removes line breaks.
    if any(character.isspace() or not character.isprintable() for character in text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
