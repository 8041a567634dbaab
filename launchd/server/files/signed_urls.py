"""Signed links: action, file and expiry under an HMAC.

W&B's clients fetch such links without an Authorization header, so the signature is the permission.
"""

import hashlib
import hmac
import re
import time

from launchd.server.errors import NotAllowed

UPLOAD, UPLOAD_PART, DOWNLOAD = "upload", "upload-part", "download"
RUN_UPLOAD, RUN_DOWNLOAD = "run-upload", "run-download"
_TOKEN = re.compile(r"(\d{1,18})-(\d{1,12})-([0-9a-f]{64})", re.ASCII)


class UrlSigner:
    """Signs and checks links, which are valid for `valid_seconds`."""

    def __init__(self, secret: bytes, valid_seconds: float) -> None:
        self._secret = secret
        self._valid_seconds = valid_seconds

    def sign(self, base_url: str, action: str, file_id: int) -> str:
        """An absolute link to `/storage/<action>/` that permits this action on one file."""
        ends_at = int(time.time() + self._valid_seconds)
        return f"{base_url}/storage/{action}/{file_id}-{ends_at}-{self._sign(action, file_id, ends_at)}"

    def file_id(self, action: str, token: str) -> int:
        """The file to which a token, the last part of a link, gives access.

        Raises:
            NotAllowed: not signed by this server for this action, or too old.
        """
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise NotAllowed("This is not a link of this server.")
        file_id, ends_at = int(found[1]), int(found[2])
        if not hmac.compare_digest(found[3], self._sign(action, file_id, ends_at)):
            raise NotAllowed("The signature of this link is wrong.")
        if ends_at < time.time():
            raise NotAllowed("This link has ended; ask the server for a new one.")
        return file_id

    def _sign(self, action: str, file_id: int, ends_at: int) -> str:
        message = f"{action}/{file_id}/{ends_at}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
