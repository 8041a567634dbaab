"""Wrong API keys, counted by the address that they come from.

Only wrong keys are counted, and one that is wrong again and again counts once: who sends one key only guesses nothing.
So many users, and many jobs with keys of their own, behind one address (NAT) work on while one of them tries keys.
"""

import ipaddress
import math
import time
from collections import OrderedDict
from typing import Generic, TypeVar

from starlette.requests import Request

from launchd.server.errors import TooManyRequests

K = TypeVar("K")
V = TypeVar("V")

SECONDS_EACH = 2.0
"""After this time one more may come."""
_MOST_KEPT = 10_000
_IPV6_NETWORK = 64
"""Bits of an IPv6 address that are one network, of which a single host may use every address."""


class _Recent(Generic[K, V]):
    """The last few thousand entries."""

    def __init__(self) -> None:
        self._kept: OrderedDict[K, V] = OrderedDict()

    def __contains__(self, key: K) -> bool:
        return key in self._kept

    def get(self, key: K, default: V) -> V:
        return self._kept.get(key, default)

    def put(self, key: K, value: V) -> None:
        self._kept[key] = value
        self._kept.move_to_end(key)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)


class WrongKeys:
    """Limits how many different wrong keys one address may try. Keys are known by their digests.

    `burst` of them may come from one address at once.
    """

    def __init__(self, burst: int) -> None:
        self._burst = burst
        self._wrong: _Recent[str, None] = _Recent()
        self._tried: _Recent[str, tuple[float, float]] = _Recent()

    def count(self, address: str, digest: str) -> None:
        """Count a key that is not known to the server. The same key counts once.

        Raises:
            TooManyRequests: the address has sent too many others.
        """
        if digest in self._wrong:
            return
        tries = self._tries(address)
        over = tries - self._burst + 1
        if over > 0:
            raise TooManyRequests(
                "Too many wrong API keys have come from your address. Check WANDB_API_KEY and WANDB_BASE_URL.",
                math.ceil(over * SECONDS_EACH),
            )
        self._tried.put(address, (tries + 1, time.monotonic()))
        self._wrong.put(digest, None)

    def _tries(self, address: str) -> float:
        """Wrong keys of an address that count now."""
        tries, at = self._tried.get(address, (0.0, 0.0))
        return max(0.0, tries - (time.monotonic() - at) / SECONDS_EACH)


def address_of(request: Request) -> str:
    """Where a request comes from: its client's IPv4 address, or its IPv6 network."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return str(ipaddress.ip_network((host, _IPV6_NETWORK), strict=False)) if address.version == 6 else host
