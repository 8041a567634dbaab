"""Parts of jobs' outputs. Launchd protocol."""

import msgspec


class OutputPart(msgspec.Struct, frozen=True, kw_only=True):
    """What the server says of a part of a job's output, which begins at the position `start` of `attempt`.

    `size` is how long the output was when its agent was last heard, `is_fresh`: just now. `is_complete`: the output has
    ended, and its last part is kept; `has_ended`: the item has. `is_sent`: the item's agent is one that sends output;
    it is on `hostname`, and was last heard `silent_seconds` ago.
    """

    attempt: str
    start: int
    size: int
    is_complete: bool
    is_fresh: bool
    state: str
    has_ended: bool
    is_sent: bool
    hostname: str | None = None
    silent_seconds: float | None = None


class OutputPiece(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of an output that begin at the position `start` of `attempt`, as an agent sends them.

    `size` is how long the whole was when they were read; `is_last`: the job is over, and nothing follows.
    """

    attempt: str
    start: int
    content: bytes
    size: int
    is_last: bool
