"""Headers of HTTP are read as the standard library reads them."""

import http.client
import io

import pytest

from workers.http_headers import read_headers

USUAL = b"Content-Type: application/json; charset=utf-8\r\nContent-Length: 12\r\nX-Twice: 1\r\nx-twice: 2\r\n\r\nrest"
BLOCKS = {
    "usual": USUAL,
    "none": b"\r\n",
    "nothing at all": b"",
    "bare newlines": USUAL.replace(b"\r\n", b"\n"),
    "no space, many spaces, no value": b"A:1\r\nB: \t 2 \t\r\nC:\r\n\r\n",
    "a colon in a value": b"Location: http://a:1/\r\n\r\n",
    "bytes that are no ASCII": b"A: caf\xe9 \xe2\x82\xac\r\n\r\n",
    "odd names": b"a!#$%&'*+-.^_`|~1: x\r\n\r\n",
    "a header over two lines": b"A: one\r\n two\r\nB: 3\r\n\r\n",
    "a line that is no header": b"A: 1\r\nnothing of that kind\r\nB: 2\r\n\r\n",
    "a space before the colon": b"A : 1\r\nB: 2\r\n\r\n",
    "no name": b": 1\r\nB: 2\r\n\r\n",
    "a mailbox's first line": b"From x: y\r\nB: 2\r\n\r\n",
    "a return within a line": b"A: 1\rB: 2\r\nC: 3\r\n\r\n",
    "other ends of lines": b"A: 1\x0b2\x0c3\x1c4\x85\r\nB: 2\r\n\r\n",
    "an end in the middle": b"A: 1\r\nB: 2",
    "as many as there may be": b"A: 1\r\n" * 99 + b"\r\n",
}


@pytest.mark.parametrize("block", BLOCKS.values(), ids=BLOCKS)
def test_headers_are_those_of_the_standard_library(block: bytes) -> None:
    stream, other = io.BytesIO(block), io.BytesIO(block)

    read, expected = read_headers(stream), http.client.parse_headers(other)

    assert read.items() == expected.items()
    assert read.get_content_type() == expected.get_content_type()
    assert read.get_payload() == expected.get_payload()
    assert [type(defect) for defect in read.defects] == [type(defect) for defect in expected.defects]
    assert stream.tell() == other.tell()


@pytest.mark.parametrize("block", [b"A: 1\r\n" * 100 + b"\r\n", b"A: " + b"1" * 65536 + b"\r\n\r\n"])
def test_what_goes_over_the_limits_is_refused(block: bytes) -> None:
    with pytest.raises(http.client.HTTPException) as refused:
        read_headers(io.BytesIO(block))
    with pytest.raises(type(refused.value), match=str(refused.value)):
        http.client.parse_headers(io.BytesIO(block))
