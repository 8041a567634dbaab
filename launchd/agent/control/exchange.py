"""One client of the control socket: its request and its answer, each one line, and how long each may take.

Waits for nothing. One thread's.
"""

import contextlib
import json
import socket
import time
from enum import Enum, auto
from typing import Any

from launchd.agent.control.client import ANSWER_SECONDS, CLIENT_SECONDS

#: The longest request.
MAX_REQUEST_BYTES = 64 * 1024


class Stage(Enum):
    """What an exchange waits for: the whole request, the agent, the client that reads the answer."""

    REQUEST = auto()
    AGENT = auto()
    READER = auto()


#: Not of a single piece: a client that sends drop by drop would never be late.
_SECONDS = {Stage.REQUEST: CLIENT_SECONDS, Stage.AGENT: ANSWER_SECONDS, Stage.READER: CLIENT_SECONDS}


class Exchange:
    """An exchange with ``client``, whose request is to come."""

    def __init__(self, client: socket.socket) -> None:
        client.settimeout(0.0)
        self.client = client
        self._data = bytearray()
        self._enter(Stage.REQUEST)

    def _enter(self, stage: Stage) -> None:
        self.stage = stage
        #: When the stage has taken too long, in monotonic seconds.
        self.late_at = time.monotonic() + _SECONDS[stage]

    def receive(self) -> bytes | None:
        """Read what there is; returns the request, which the agent has now, once all of it has come.

        Raises:
            OSError: the client has left, or its request is too long.
        """
        try:
            piece = self.client.recv(MAX_REQUEST_BYTES)
        except BlockingIOError:
            return None
        self._data += piece
        if len(self._data) > MAX_REQUEST_BYTES:
            raise OSError("the request is too long")
        if piece and not self._data.endswith(b"\n"):
            return None
        self._enter(Stage.AGENT)
        return bytes(self._data)

    def begin_answer(self, answer: dict[str, Any]) -> None:
        """Have ``answer`` be sent by :meth:`send`."""
        self._data = bytearray(json.dumps(answer).encode() + b"\n")
        self._enter(Stage.READER)

    def send(self) -> bool:
        """Send what the client takes now of the answer; returns whether that was the last of it.

        Raises:
            OSError: the client has left.
        """
        with contextlib.suppress(BlockingIOError):
            del self._data[: self.client.send(self._data)]
        return not self._data
