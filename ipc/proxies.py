"""Proxies that environments name: which hosts go without one, and what in their addresses is secret. Pure."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from urllib.parse import unquote, urlsplit

#: Variables with the address of a proxy, by which curl, git, pip, uv and Python's libraries are told.
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")

#: Variables with what is reached without one.
EXCEPTIONS = ("no_proxy", "NO_PROXY")

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def direct_loopback(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that keep loopback from the proxies of ``environment``; none where it has no proxy."""
    if not any(environment.get(name) for name in PROXIES):
        return {}
    given = next((environment[name] for name in EXCEPTIONS if environment.get(name)), "")
    words = [word.strip() for word in given.split(",") if word.strip()]
    if "*" in words:
        return {}
    text = ",".join(dict.fromkeys((*words, *_LOOPBACK)))
    return dict.fromkeys(EXCEPTIONS, text)


def proxy_secrets(environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return the passwords in the addresses of proxies, as they stand there and as they are; the longest first."""
    found = {form for name in PROXIES for form in _passwords(environment.get(name, ""))}
    return tuple(sorted(found, key=len, reverse=True))


def _passwords(address: str) -> Iterator[str]:
    # What is no address is for those who use it to complain about.
    with suppress(ValueError):
        password = urlsplit(address if "://" in address else f"http://{address}").password
        if password:
            yield password
            yield unquote(password)
