"""The log of a container as its engine sends it: pieces of both streams in one, each in a frame. Pure."""

import struct
from collections.abc import Iterable, Iterator

#: Before each piece of multiplexed output: a byte for the stream, three of nothing, and how many bytes follow.
_FRAME = struct.Struct(">xxxxL")


def frames(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what the frames of multiplexed output hold; raises :class:`OSError` where the last one is not whole."""
    rest = b""
    for piece in pieces:
        data = rest + piece if rest else piece
        start, end = 0, len(data)
        while end - start >= _FRAME.size:
            (size,) = _FRAME.unpack_from(data, start)
            if end - start - _FRAME.size < size:
                break
            start += _FRAME.size + size
            yield data[start - size : start]
        rest = data[start:]
    if rest:
        raise OSError("the engine's answer ended in the middle")
