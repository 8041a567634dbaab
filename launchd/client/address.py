"""What may be the address of a queue server. Owns the sentence about what may not; it asks no server."""

from urllib.parse import urlsplit

from launchd.client.errors import Refused


def checked_address(base_url: str) -> str:
    """Return the address without a slash at its end; raises `Refused` where it is none of HTTP."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Refused(
            f"{base_url!r} is not the address of a queue server: write it as http://HOST:PORT or https://HOST."
        )
    return base_url.rstrip("/")
