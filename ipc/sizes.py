"""Sizes as people write them: ``67108864``, ``"64 MiB"``."""

import re

UNITS = {"": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40}
_SIZE = re.compile(r"(\d{1,15})\s*([A-Za-z]*)")


def parse_size(value: object) -> int:
    """Return a number of bytes.

    Raises:
        ValueError: the value is no size above 0; the message is the end of a sentence ("must be ...").
    """
    match = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if match and match[2] in UNITS:
        value = int(match[1]) * UNITS[match[2]]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 1 << 62:
        raise ValueError('must be a number of bytes above 0, such as 67108864 or "64 MiB"')
    return value


def format_size(size: int) -> str:
    """Return a number of bytes in the largest unit in which it is a whole number of at least 1, else with one digit."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size >= UNITS[unit]:
            return f"{size / UNITS[unit]:.1f}".removesuffix(".0") + f" {unit}"
    return f"{size} B"
