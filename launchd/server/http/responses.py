"""Responses: JSON, errors and stored blobs. W&B's clients read this one form of an error body:
{"errors": [{"message": ...}]}.
"""

from typing import Any

import msgspec
from starlette.responses import FileResponse, Response

from launchd.server.errors import NotFound
from launchd.server.files.blob_store import BlobStore


def json_response(status: int, content: Any) -> Response:
    """A response with `content` as JSON."""
    return Response(msgspec.json.encode(content), status, media_type="application/json")


def error_response(status: int, *messages: str) -> Response:
    """An error response with these messages."""
    return json_response(status, {"errors": [{"message": message} for message in messages]})


def blob_response(blobs: BlobStore, content: str | None) -> Response:
    """The blob with the digest `content`, to be saved to a file.

    Raises:
        NotFound: `content` is None, so the file has not been uploaded.
    """
    if content is None:
        raise NotFound("This file has not been uploaded.")
    # A browser must not take uploaded content for a page of this server.
    headers = {"X-Content-Type-Options": "nosniff", "Content-Disposition": "attachment"}
    return FileResponse(blobs.path(content), headers=headers, media_type="application/octet-stream")
