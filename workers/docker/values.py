"""The values of `docker run`'s flags, read as Docker's command line reads them and given as the Engine API has them.

Pure. A value that is none raises ``ValueError`` with the end of a sentence ("must be ...").
"""

import csv
import re
from collections.abc import Callable, Iterator
from typing import Any

#: The engine's whole numbers have 64 bits.
_MOST = (1 << 63) - 1
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(?:([kmgtp])i?)?b?", re.ASCII | re.IGNORECASE)
_UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|[uµ]s|ms|s|m|h))+", re.ASCII)
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|µs|ms|s|m|h)", re.ASCII)
_NANOSECONDS = {"ns": 1, "µs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_CPUS = re.compile(r"\d{1,10}(?:\.\d{1,9})?", re.ASCII)
_MODE = re.compile(r"[0-7]{1,4}", re.ASCII)
#: An engine that ends waits as long as one of its containers asks for.
_LONGEST_STOP_SECONDS = 3600
#: The engine's own share of processors' time, for containers that ask for none.
_USUAL_SHARE = 1024
#: The limit of the priority that a process may give itself before all that have none.
_REAL_TIME = "rtprio"
_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII)
_MAX_PORT = 65535
_TRUE, _FALSE = ("true", "1", "t"), ("false", "0", "f")


def text(value: str) -> str:
    """Return a text that is not empty."""
    if not value or "\0" in value:
        raise ValueError("must not be empty")
    return value


def size(value: str) -> int:
    """Return a number of bytes, given as ``1073741824``, ``1g``, ``1.5 GiB`` or ``512mb``; units are powers of 1024."""
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError("must be a number of bytes, such as 512m or 2g")
    return _whole(float(match[1]) * (1 << _UNITS[(match[2] or "").lower()]))


def _whole(number: float) -> int:
    """Return a number that the engine can hold as a whole one."""
    if not -_MOST <= number <= _MOST:
        raise ValueError("must be a smaller number")
    return int(number)


def size_or_unlimited(value: str) -> int:
    """Return a number of bytes, -1 for no limit."""
    return -1 if value.strip() == "-1" else size(value)


def integer(value: str) -> int:
    """Return a whole number."""
    try:
        number = int(value)
    except ValueError:
        raise ValueError("must be a whole number") from None
    return _whole(number)


def stop_seconds(value: str) -> int:
    """Return how long the engine waits for a container that it stops when it ends itself, in seconds."""
    seconds = integer(value)
    if not 0 <= seconds <= _LONGEST_STOP_SECONDS:
        raise ValueError(f"must be 0 to {_LONGEST_STOP_SECONDS} seconds: an engine that ends waits for it")
    return seconds


def mode(value: str) -> int:
    """Return the permissions of a directory, given as octal digits."""
    if not _MODE.fullmatch(value):
        raise ValueError("must have a mode of octal digits, such as 1777")
    return int(value, 8)


def nano_cpus(value: str) -> int:
    """Return a number of processors in billionths."""
    if not _CPUS.fullmatch(value.strip()):
        raise ValueError("must be a number of processors, such as 1.5")
    whole, _, part = value.strip().partition(".")
    return int(whole) * 10**9 + int(part.ljust(9, "0"))


def nanoseconds(value: str) -> int:
    """Return a duration in nanoseconds, given as ``1m30s``."""
    if not _DURATION.fullmatch(value):
        raise ValueError("must be a duration, such as 30s or 1m30s")
    # The Greek letter is also written as a Latin one.
    parts = _DURATION_PART.findall(re.sub("u(?=s)", "µ", value))
    return _whole(sum(float(number) * _NANOSECONDS[unit] for number, unit in parts))


def switch(value: str) -> bool:
    """Return whether a switch is on."""
    word = value.strip().lower()
    if word not in (*_TRUE, *_FALSE):
        raise ValueError("must be true or false")
    return word in _TRUE


def one_of(*allowed: str) -> Callable[[str], str]:
    """Return a reader of one of the ``allowed`` words."""

    def read(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return value

    return read


def pair(value: str) -> tuple[str, str]:
    """Return ``NAME=VALUE`` as two texts; without ``=`` the value is empty."""
    name, _, rest = value.partition("=")
    return text(name), rest


def ulimit(value: str) -> dict[str, Any]:
    """Return ``NAME=SOFT[:HARD]`` as an entry of ``Ulimits``."""
    name, _, limits = value.partition("=")
    soft, _, hard = limits.partition(":")
    try:
        return {"Name": text(name), "Soft": integer(soft), "Hard": integer(hard or soft)}
    except ValueError:
        raise ValueError("must be NAME=SOFT or NAME=SOFT:HARD, such as memlock=-1") from None


def is_no_real_time(limit: str) -> bool:
    """Return whether a limit lets no process of the container go before all others of the host, as ``rtprio`` does.

    No limit of processors' time holds for such a process.
    """
    return limit.partition("=")[0].strip().lower() != _REAL_TIME


def is_usual_share(value: str) -> bool:
    """Return whether a share of the processors' time is no larger than what a container has anyway."""
    return integer(value) <= _USUAL_SHARE


def device_rate(value: str) -> dict[str, Any]:
    """Return ``PATH:RATE``, with the rate in bytes or operations a second."""
    path, _, rate = value.rpartition(":")
    return {"Path": absolute(path), "Rate": size(rate)}


def device_weight(value: str) -> dict[str, Any]:
    """Return ``PATH:WEIGHT``."""
    path, _, weight = value.rpartition(":")
    return {"Path": absolute(path), "Weight": integer(weight)}


def capability(value: str) -> str:
    """Return the name of a capability in capitals, without ``CAP_``."""
    return text(value).upper().removeprefix("CAP_")


def absolute(path: str) -> str:
    """Return an absolute path without ``.``, ``..`` and empty parts that a reader could take for another one."""
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise ValueError("must have absolute paths without ..")
    return path


def ports(value: str) -> list[str]:
    """Return ``PORT[-PORT][/PROTOCOL]`` as the keys of ``ExposedPorts``."""
    match = _PORT.fullmatch(value)
    if match is None or not int(match[1]) <= int(match[2] or match[1]) <= _MAX_PORT:
        raise ValueError("must be a port, or a range of them, such as 8000 or 8000-8010/udp")
    return [f"{port}/{match[3] or 'tcp'}" for port in range(int(match[1]), int(match[2] or match[1]) + 1)]


def published(value: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield entries of ``PortBindings`` for ``[[ADDRESS:]PORT:]PORT[/PROTOCOL]``."""
    outside, _, inside = value.rpartition(":")
    address, _, outer = outside.rpartition(":")
    keys = ports(inside)
    host_ports = [key.partition("/")[0] for key in ports(outer)] if outer else [""] * len(keys)
    if len(host_ports) != len(keys):
        raise ValueError("must have as many ports of the host as of the container")
    for key, host_port in zip(keys, host_ports, strict=True):
        yield key, {"HostIp": address.strip("[]"), "HostPort": host_port}


def fields(value: str) -> dict[str, str]:
    """Return ``KEY=VALUE,KEY,...``, quoted as CSV, as a mapping; a key alone has the value ``true``."""
    try:
        (row,) = csv.reader([value], strict=True)
    except csv.Error:
        raise ValueError("must be one line of KEY=VALUE with commas between") from None
    found = {}
    for entry in row:
        key, equals, rest = entry.partition("=")
        found[key.strip().lower()] = rest if equals else "true"
    return found
