"""Limits of an HTTP connection that uvicorn does not set: while no request is answered, and while an answer is read.

Before a request has begun its sender is not authenticated. `request_body` limits what follows the header.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

MAX_HEADER_BYTES = 64 * 1024

LEAST_READ_BYTES = 64 * 1024
"""So much of an answer that waits for its client is to be read within `timeout_keep_alive` seconds."""


class HttpConnection(HttpToolsProtocol):
    """Uvicorn's connection, closed when no request arrives in time.

    It may be without a request for `timeout_keep_alive` seconds: idle, inside a header, or sending the rest of a
    request that was already answered. Uvicorn alone stops that clock at the first byte.

    An answer that its client does not read is given up, too: it would take memory for as long as the client lives.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._deadline: asyncio.TimerHandle | None = None
        self._reading: asyncio.TimerHandle | None = None
        self._header_bytes = 0
        self._in_header = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """The connection was opened."""
        super().connection_made(transport)
        self._set_deadline()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection was closed."""
        self._end_deadline()
        self._end_reading()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""
        self._header_bytes += len(data)
        super().data_received(data)
        if self._header_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self.send_400_response(f"The header of the request is longer than {MAX_HEADER_BYTES} bytes.")
        if _is_answering(self.cycle):
            self._end_deadline()
        else:
            self._set_deadline()

    # Header lines may also follow a body (trailers), when the request is already being answered by its header. Nothing
    # reads them: what they say was seen neither by a proxy nor by the checks of the header.

    def on_message_begin(self) -> None:
        """A request has begun."""
        self._in_header = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A line of the header arrived, or of a trailer."""
        if self._in_header:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The header of a request is complete."""
        self._in_header = False
        self._header_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of the body arrived."""
        self._header_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is complete."""
        self._header_bytes = 0
        super().on_message_complete()

    def pause_writing(self) -> None:
        """More of an answer waits for the client than it reads."""
        super().pause_writing()
        self._watch_reading()

    def resume_writing(self) -> None:
        """The client has read most of what waited."""
        self._end_reading()
        super().resume_writing()

    def _watch_reading(self) -> None:
        left = self.transport.get_write_buffer_size()
        self._reading = self.loop.call_later(self.timeout_keep_alive, self._check_reading, left)

    def _check_reading(self, before: int) -> None:
        if before - self.transport.get_write_buffer_size() < LEAST_READ_BYTES:
            # Not closed: that would wait for the client.
            self.transport.abort()
        else:
            self._watch_reading()

    def _end_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _set_deadline(self) -> None:
        # Absolute: a sender of one byte now and then must not extend it.
        if self._deadline is None:
            self._deadline = self.loop.call_later(self.timeout_keep_alive, self.timeout_keep_alive_handler)

    def _end_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def _is_answering(cycle: RequestResponseCycle | None) -> bool:
    return cycle is not None and not cycle.response_complete
