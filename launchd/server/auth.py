"""Who sent a request: HTTP Basic, user `api`, an API key, as W&B's clients send it. Owns the memory of known keys."""

import base64
import binascii
import time

from launchd.server.errors import Unauthorized
from launchd.server.keys import digest_of
from launchd.server.store import identities
from launchd.server.store.database import Database
from launchd.server.store.records import Viewer

_REMEMBER_SECONDS = 5.0
_MOST_REMEMBERED = 1000


class Authenticator:
    """Looks keys up. A known key is remembered for 5 s: so long may a revoked one still work."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str, tuple[float, Viewer]] = {}

    async def viewer(self, authorization: str | None) -> Viewer:
        """Whose key is in this header.

        Raises:
        Unauthorized: no key, or none of this server.
        StoreUnavailable: it cannot be told at present.
        """
        digest = digest_of(_key_in(authorization))
        until, viewer = self._known.get(digest, (0.0, None))
        if viewer is not None and time.monotonic() < until:
            return viewer
        viewer = await self._database.read(lambda connection: identities.viewer_of_key(connection, digest))
        if viewer is None:
            raise Unauthorized(
                "This API key is not known to this queue server. Check WANDB_API_KEY and WANDB_BASE_URL."
            )
        self._remember(digest, viewer)
        return viewer

    def _remember(self, digest: str, viewer: Viewer) -> None:
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[digest] = (time.monotonic() + _REMEMBER_SECONDS, viewer)


def _key_in(authorization: str | None) -> str:
    scheme, _, credentials = (authorization or "").partition(" ")
    if scheme.lower() == "basic":
        try:
            _, colon, key = base64.b64decode(credentials, validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            colon = key = ""
        if colon and key:
            return key
    raise Unauthorized("No API key was sent. Log in with HTTP Basic, user 'api', the API key as the password.")
