"""Reads the headers of HTTP without the parser of mails, by which the standard library reads them.

What that parser runs lies on pages of memory that each worker would have for itself: a third of a megabyte.
"""

import http.client
import re
from email.parser import Parser
from http.client import HTTPException, HTTPMessage, LineTooLong
from typing import BinaryIO

#: The standard library's limits: bytes of a line, and lines.
_LONGEST_LINE = 65536
_MOST_LINES = 100

_END = ("\r\n", "\n", "")

#: A header as all servers write it. What there may be beside these, such as one over two lines, is the parser's.
_PLAIN = re.compile(r"[!-9;-~]+:[^\r\n]*\r?\n")


def read_headers_plainly() -> None:
    """Have all clients of HTTP in this process, and in those forked from it, read headers by :func:`read_headers`."""
    http.client.parse_headers = read_headers  # type: ignore[assignment]


def read_headers(stream: BinaryIO, _class: type[HTTPMessage] = HTTPMessage) -> HTTPMessage:
    """Return the headers at the beginning of ``stream``, as the standard library's own function does.

    Raises:
        LineTooLong: a line is longer than 65,536 bytes.
        HTTPException: there are more than 100 lines, the last one counted.
    """
    *headers, end = _lines(stream)
    if not all(map(_PLAIN.fullmatch, headers)):
        return Parser(_class=_class).parsestr("".join([*headers, end]))
    message = _class()
    for line in headers:
        message.set_raw(*message.policy.header_source_parse([line]))
    message.set_payload("")
    return message


def _lines(stream: BinaryIO) -> list[str]:
    """Return the lines as far as the empty one that ends the headers."""
    lines: list[str] = []
    while not lines or lines[-1] not in _END:
        line = stream.readline(_LONGEST_LINE + 1)
        if len(line) > _LONGEST_LINE:
            raise LineTooLong("header line")
        lines.append(line.decode("iso-8859-1"))
        if len(lines) > _MOST_LINES:
            raise HTTPException(f"got more than {_MOST_LINES} headers")
    return lines
