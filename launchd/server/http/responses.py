"""Answers: JSON, and stored contents. Owns the one form of an error body, which all of W&B's clients read:
{"errors": [{"message": ...}]}.
"""

from typing import Any

import msgspec
from starlette.responses import FileResponse, Response

from launchd.server.errors import NotFound
from launchd.server.files.blob_store import BlobStore


def json_response(status: int, content: Any) -> Response:
    """An answer with `content` as JSON."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def error_response(status: int, *messages: str) -> Response:
    """An answer that says what is wrong."""
    return json_response(status, {"errors": [{"message": message} for message in messages]})


def blob_response(blobs: BlobStore, content: str | None) -> Response:
    """What is stored under the digest `content`, to be saved to a file.

    Raises:
        NotFound: None, that is: it has not arrived.
    """
    if content is None:
        raise NotFound("This file has not been uploaded.")
    # Whatever is in it, a browser must not take it for a page of this server.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
    return FileResponse(blobs.path(content), headers=headers, media_type="application/octet-stream")
