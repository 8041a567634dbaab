"""Reading request bodies. Owns the limit that keeps one request from filling the memory."""

from starlette.requests import ClientDisconnect, Request

from launchd.server.errors import Refused

_LONGEST_NUMBER = 18


async def read_body(request: Request, limit: int) -> bytes:
    """The whole body.

    Raises:
        Refused: longer than `limit` bytes, or cut off. Status 400, not 413, which wandb 0.20 retries for days.
    """
    if (announced_size(request) or 0) > limit:
        raise Refused(_too_big(limit))
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise Refused(_too_big(limit))
    except ClientDisconnect as error:
        raise Refused("The request ended before its body did.") from error
    return bytes(body)


def announced_size(request: Request) -> int | None:
    """Bytes that the request says will come; None where it does not say."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) <= _LONGEST_NUMBER else None


def _too_big(limit: int) -> str:
    return f"The request is bigger than {limit} bytes, the most this server takes."
