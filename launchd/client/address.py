"""What may be the address of a queue server. Owns the sentence about what may not; it asks no server."""

from urllib.parse import urlsplit

from launchd.client.errors import Refused


def checked_address(base_url: str) -> str:
    """Return the address without a slash at its end; raises `Refused` where it is none of HTTP."""
    if not _is_address(base_url):
        raise Refused(
            f"{base_url!r} is not the address of a queue server: write it as http://HOST:PORT or https://HOST."
        )
    return base_url.rstrip("/")


def _is_address(text: str) -> bool:
    # Looked at first, for urlsplit passes over line breaks.
    if any(sign.isspace() or not sign.isprintable() for sign in text):
        return False
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
