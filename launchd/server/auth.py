"""Authentication: HTTP Basic with user `api` and an API key as the password, as W&B's clients send it."""

import asyncio
import base64
import binascii
import logging
import time

from sqlalchemy import Connection
from starlette.requests import Request

from launchd.server.errors import NotAllowed, ServerError, TooManyRequests, Unauthorized
from launchd.server.launch.job_keys import JobKeys
from launchd.server.models import Role, Scope, Viewer
from launchd.server.store.accounts import api_keys
from launchd.server.store.database import Database, Lane
from launchd.server.wrong_keys import WrongKeys, address_of

logger = logging.getLogger(__name__)

AUTHOR_HEADER = "x-wandb-username"
"""The user for whom a service account acts; W&B's clients send WANDB_USERNAME in it. Other keys ignore it."""

_CACHE_SECONDS = 5.0
_MOST_CACHED = 1000
_RECORD_USE_SECONDS = 60.0
_WAIT_SECONDS = 1.0


class Authenticator:
    """Looks keys up. A known key is cached for 5 s, so a key revoked on another server works that much longer."""

    def __init__(self, database: Database, job_keys: JobKeys, wrong_keys: WrongKeys) -> None:
        self._database = database
        self._wrong_keys = wrong_keys
        self._job_keys = job_keys
        self._cache: dict[tuple[str, str], tuple[float, Viewer]] = {}
        self._recorded_at: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def viewer(self, request: Request) -> Viewer:
        """The user of the key in the request's headers, and the user in whose name it acts.

        Raises:
            Unauthorized: no key, or one that this server does not know.
            TooManyRequests: the same, after many others from the same address.
            StoreUnavailable: the database cannot be asked at present.
        """
        headers = request.headers
        key, author = _key_in(headers.get("authorization")), headers.get(AUTHOR_HEADER, "")
        digest = api_keys.digest_of(key)
        until, viewer = self._cache.get((digest, author), (0.0, None))
        if viewer is not None and time.monotonic() < until:
            return viewer
        viewer = await self._database.read(lambda connection: self.find_viewer(connection, key, author), Lane.FIRST)
        if viewer is None:
            await self._count_wrong(request, digest)
            raise Unauthorized(
                "This API key is not known to this queue server. Check WANDB_API_KEY and WANDB_BASE_URL."
            )
        self._cache_viewer(digest, author, viewer)
        return viewer

    async def _count_wrong(self, request: Request, digest: str) -> None:
        try:
            self._wrong_keys.count(address_of(request), digest)
        except TooManyRequests:
            # Who does not wait is made to.
            await asyncio.sleep(_WAIT_SECONDS)
            raise

    def find_viewer(self, connection: Connection, key: str, author: str = "") -> Viewer | None:
        """The viewer of a key, a user's or a job's; None: this server does not know it."""
        owner = api_keys.viewer_of_key(connection, api_keys.digest_of(key), author)
        return owner or self._job_keys.find_viewer(connection, key)

    def clear_cache(self) -> None:
        """Drop all cached keys, after keys, members or roles have changed."""
        self._cache.clear()

    def _cache_viewer(self, digest: str, author: str, viewer: Viewer) -> None:
        if len(self._cache) >= _MOST_CACHED:
            self._cache.clear()
        now = time.monotonic()
        self._cache[digest, author] = (now + _CACHE_SECONDS, viewer)
        is_due = now - self._recorded_at.get(digest, -_RECORD_USE_SECONDS) >= _RECORD_USE_SECONDS
        if is_due and viewer.scope is not Scope.JOB:
            self._record_use(digest, now)

    def _record_use(self, digest: str, now: float) -> None:
        if len(self._recorded_at) >= _MOST_CACHED:
            self._recorded_at.clear()
        self._recorded_at[digest] = now
        note = asyncio.create_task(self._write_use(digest))
        self._tasks.add(note)
        note.add_done_callback(self._tasks.discard)

    async def _write_use(self, digest: str) -> None:
        try:
            await self._database.write(lambda connection: api_keys.record_use(connection, digest))
        except ServerError as error:
            logger.warning("The use of an API key could not be recorded.", extra={"error": str(error)})


def may_write(viewer: Viewer) -> Viewer:
    """The viewer, restricted from now on to what they may change.

    Raises:
        NotAllowed: the key is read-only.
    """
    if viewer.key_role < Role.MEMBER:
        raise NotAllowed("This API key has the role viewer: it may look, but not change anything.")
    return viewer.writing()


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
