"""Kinds of values: each takes what YAML, a variable or a flag gave, and returns the value or says why it cannot be.

Owns conversions, as pure functions that raise `ValueError` with the end of a sentence ("must be ..."). They know
no names.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE = re.compile(r"(\d+)\s*([A-Za-z]*)")
_DIGITS = re.compile(r"\s*[+-]?\d{1,18}\s*")
_BUCKET = re.compile(r"(s3|gs)://[^/\s]+(/\S*)?")
_BLOB = re.compile(r"https://[a-z0-9]+\.blob\.core\.windows\.net/[^/\s]+(/\S*)?")
MAX_SECONDS = 10 * 365 * 86400.0


def text(value: Any) -> str:
    """Text that is not empty."""
    if not isinstance(value, str):
        raise ValueError("must be text")
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


def flag(value: Any) -> bool:
    """True or false. The quoted words count as what they say; for W&B every non-empty text is true."""
    if isinstance(value, bool):
        return value
    words = {"true": True, "false": False}
    if isinstance(value, str) and value.strip().lower() in words:
        return words[value.strip().lower()]
    raise ValueError("must be true or false")


def whole(value: Any) -> int:
    """A whole number; digits in quotes count, as for W&B."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    raise ValueError("must be a whole number")


def at_least(minimum: int) -> Callable[[Any], int]:
    """A whole number that is not smaller than `minimum`."""

    def kind(value: Any) -> int:
        number = whole(value)
        if number < minimum:
            raise ValueError(f"must be {minimum} or more")
        return number

    return kind


def limit(value: Any) -> int:
    """A number of jobs; -1 is no limit, as for W&B."""
    number = whole(value)
    if number < -1:
        raise ValueError("must be 0 or more, or -1 for no limit")
    return number


def seconds(value: Any) -> float:
    """A time that is longer than nothing."""
    number = seconds_or_never(value)
    if number == 0:
        raise ValueError("must be more than 0 seconds")
    return number


def seconds_or_never(value: Any) -> float:
    """A time, or 0 where that stands for "no limit"; W&B's files also write -1 for it."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            raise ValueError("must be a number of seconds") from None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value < MAX_SECONDS:
        raise ValueError("must be a number of seconds")
    return max(0.0, float(value))


def size(value: Any) -> int:
    """A number of bytes: 1048576, "1 MiB" or "20GiB"."""
    match = _SIZE.fullmatch(str(value).strip()) if isinstance(value, str | int) else None
    if isinstance(value, bool) or match is None or match[2] not in UNITS or int(match[1]) == 0:
        raise ValueError('must be a number of bytes above 0, such as 67108864 or "64 MiB"')
    return int(match[1]) * UNITS[match[2]]


def choice(*allowed: str) -> Callable[[Any], str]:
    """One of some words."""

    def kind(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"must be {' or '.join(allowed)}")
        return str(value)

    return kind


def names(value: Any) -> tuple[str, ...]:
    """A list of names; what stands in it twice counts once."""
    if isinstance(value, str):
        raise ValueError(f"must be a list: write [{value}]")
    if not isinstance(value, list | tuple) or not all(isinstance(name, str) and name.strip() for name in value):
        raise ValueError("must be a list of names")
    return tuple(dict.fromkeys(name.strip() for name in value))


def words(value: Any) -> tuple[str, ...]:
    """A list of arguments, kept as they are."""
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise ValueError("must be a list of texts")
    return tuple(value)


def mapping(value: Any) -> dict[str, Any]:
    """Anything with keys that are text."""
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError("must be a mapping")
    return value


def url(value: Any) -> str:
    """The address of a server."""
    address = text(value).rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an address such as http://HOST:PORT or https://HOST")
    return address


def absolute_path(value: Any) -> str:
    """A path from the root; `~` is the home directory."""
    path = Path(text(value)).expanduser()
    if not path.is_absolute():
        raise ValueError("must be an absolute path")
    return str(path)


def object_store(value: Any) -> str:
    """A place in S3, Google Cloud Storage or Azure Blob Storage."""
    address = text(value)
    if not _BUCKET.fullmatch(address) and not _BLOB.fullmatch(address):
        raise ValueError(
            "must be s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or https://ACCOUNT.blob.core.windows.net/CONTAINER/PREFIX"
        )
    return address.rstrip("/")
