"""What can come from a W&B server instead of an answer, and what its clients make of it."""

import socket
import struct
from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What comes instead of an answer. Numbers are HTTP statuses, with an error body as W&B's server sends it."""

    STATUS_400 = "400"
    STATUS_401 = "401"
    STATUS_402 = "402"
    STATUS_403 = "403"
    STATUS_404 = "404"
    STATUS_409 = "409"
    STATUS_410 = "410"
    STATUS_413 = "413"
    STATUS_422 = "422"
    STATUS_429 = "429"
    STATUS_500 = "500"
    STATUS_501 = "501"
    STATUS_502 = "502"
    STATUS_503 = "503"
    STATUS_504 = "504"
    RETRY_AFTER = "503 with Retry-After"
    PROXY_404 = "404 of a proxy"
    ERRORS_200 = "errors in a 200"
    NULL_DATA = "null data"
    GARBAGE = "garbage"
    RESET = "reset"
    HANG = "hang"
    DRIP = "drip"


#: Final answers: the server understood, and said no.
REFUSALS = (
    Fault.STATUS_400,
    Fault.STATUS_402,
    Fault.STATUS_404,
    Fault.STATUS_409,
    Fault.STATUS_410,
    Fault.STATUS_413,
    Fault.STATUS_422,
    Fault.ERRORS_200,
)

#: The key is not accepted, now.
KEY_REFUSED = (Fault.STATUS_401, Fault.STATUS_403)

#: Whoever meets one of these cannot know whether what was asked has happened.
TRANSIENT = tuple(fault for fault in Fault if fault not in (*REFUSALS, *KEY_REFUSED))


@dataclass
class Knob:
    """A fault that is met ``times`` times; ``done`` says that what was asked happens all the same."""

    fault: Fault
    done: bool
    times: int = 1


def reset(connection: socket.socket) -> None:
    """Cut a connection the hard way."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
