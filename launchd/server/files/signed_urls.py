"""Signed links: action, file, user, key and expiry under an HMAC.

W&B's clients fetch such links without an Authorization header, so the signature is the permission. It is that of one
user with one key: a check of a link includes that the user may still do this, and that the key still works.
"""

import hashlib
import hmac
import re
import time

import msgspec

from launchd.server.errors import NotAllowed

UPLOAD, UPLOAD_PART, DOWNLOAD = "upload", "upload-part", "download"
RUN_UPLOAD, RUN_DOWNLOAD = "run-upload", "run-download"
WRITING = (UPLOAD, UPLOAD_PART, RUN_UPLOAD)
"""Actions that change something."""

_TOKEN = re.compile(r"(\d{1,18})-(\d{1,18})-(\d{1,18})-(\d{1,18})-(\d{1,12})-([0-9a-f]{64})", re.ASCII)


class SignedLink(msgspec.Struct, frozen=True):
    """What a link is about: a file, and to whom it was given: a user, by a key or by the key of an item's job.

    One of `key_id` and `item`, the item's number, is 0.
    """

    file_id: int
    user_id: int
    key_id: int
    item: int

    @property
    def text(self) -> str:
        """The numbers as they stand in a link."""
        return f"{self.file_id}-{self.user_id}-{self.key_id}-{self.item}"


class UrlSigner:
    """Signs and checks links, which are valid for `valid_seconds`."""

    def __init__(self, secret: bytes, valid_seconds: float) -> None:
        self._secret = secret
        self._valid_seconds = valid_seconds

    def sign(self, base_url: str, action: str, link: SignedLink) -> str:
        """An absolute link to `/storage/<action>/` that permits one user this action on one file."""
        ends_at = int(time.time() + self._valid_seconds)
        signature = self._sign(action, link, ends_at)
        return f"{base_url}/storage/{action}/{link.text}-{ends_at}-{signature}"

    def read(self, action: str, token: str) -> SignedLink:
        """What a token, the last part of a link, gives access to.

        Raises:
            NotAllowed: not signed by this server for this action, or too old.
        """
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise NotAllowed("This is not a link of this server.")
        *of_link, ends_at = map(int, found.groups()[:-1])
        link = SignedLink(*of_link)
        if not hmac.compare_digest(found[6], self._sign(action, link, ends_at)):
            raise NotAllowed("The signature of this link is wrong.")
        if ends_at < time.time():
            raise NotAllowed("This link has ended; ask the server for a new one.")
        return link

    def _sign(self, action: str, link: SignedLink, ends_at: int) -> str:
        message = f"{action}/{link.text}-{ends_at}".encode()
        return hmac.new(self._secret, message, hashlib.sha256).hexdigest()
