"""Wake-ups across servers that share a PostgreSQL, by LISTEN and NOTIFY.

Uses two connections of its own and reads no table. A notification is lost when a server dies between its commit and its
NOTIFY, or when the network breaks. So waiting requests look again when their time is over, and all of them look as soon
as the connection is back.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec
import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL

from launchd.server.notifier import Notifier

logger = logging.getLogger(__name__)

_CHANNEL = "launchd_wakeups"
_RETRY_SECONDS = 1.0
# PostgreSQL takes 8,000 bytes at a time; a topic has about 30.
_MOST_TOPICS = 100
# A silent failure of the network must be noticed, because this side only listens.
_SESSION: Mapping[str, str | int] = {
    "application_name": "launchd server, wake-ups",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


class Notification(msgspec.Struct, frozen=True, array_like=True):
    """A notification from one server to the others."""

    sender: str
    everyone: bool
    """Wake all waiters of each topic, not one."""
    topics: Sequence[str]


_notification_decoder = msgspec.json.Decoder(Notification)


class PubSub:
    """Sends local notifications to the other servers and delivers theirs. Used on the event loop only."""

    def __init__(self, url: URL, notifier: Notifier) -> None:
        address = url.set(drivername="postgresql").render_as_string(hide_password=False)
        self._address = make_conninfo(address, **_SESSION)
        self._notifier = notifier
        self._name = secrets.token_hex(8)
        self._unsent: dict[tuple[bool, str], None] = {}
        self._has_unsent = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Connect, and reconnect whenever the connection is lost."""
        self._notifier.publish = self._enqueue
        self._tasks = [asyncio.create_task(self._stay_connected(act)) for act in (self._listen, self._send)]

    def stop(self) -> None:
        """Disconnect."""
        for task in self._tasks:
            task.cancel()

    def _enqueue(self, topics: Sequence[str], everyone: bool) -> None:
        self._unsent.update({(everyone, topic): None for topic in topics})
        self._has_unsent.set()

    async def _stay_connected(self, act: Callable[[psycopg.AsyncConnection], Awaitable[None]]) -> None:
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._address, autocommit=True)
                try:
                    await act(connection)
                finally:
                    # At once: as a context manager it asks the database first, and a second cancellation ends that.
                    await connection.close()
            except psycopg.Error as error:
                logger.info("The connection for wake-ups is lost.", extra={"error": " ".join(str(error).split())})
                await asyncio.sleep(_RETRY_SECONDS)

    async def _listen(self, connection: psycopg.AsyncConnection) -> None:
        await connection.execute(f"LISTEN {_CHANNEL}")
        # Notifications may have been lost before.
        self._notifier.notify_everyone()
        async for notice in connection.notifies():
            self._dispatch(notice.payload.encode())

    def _dispatch(self, text: bytes) -> None:
        try:
            notification = _notification_decoder.decode(text)
        except msgspec.DecodeError:
            # Of another version, or of another program on that database.
            logger.warning("A notification cannot be read.", extra={"text": text[:100].decode(errors="replace")})
            self._notifier.notify_everyone()
            return
        if notification.sender != self._name:
            notify = self._notifier.notify_local_all if notification.everyone else self._notifier.notify_local_one
            notify(notification.topics)

    async def _send(self, connection: psycopg.AsyncConnection) -> None:
        while True:
            if not self._unsent:
                self._has_unsent.clear()
                await self._has_unsent.wait()
            unsent, self._unsent = self._unsent, {}
            try:
                for notification in self._notifications(list(unsent)):
                    await connection.execute(
                        "SELECT pg_notify(%s, %s)", (_CHANNEL, msgspec.json.encode(notification).decode())
                    )
            except psycopg.Error:
                self._unsent = unsent | self._unsent
                raise

    def _notifications(self, unsent: Sequence[tuple[bool, str]]) -> list[Notification]:
        kinds = {kind: [topic for other, topic in unsent if other is kind] for kind in (False, True)}
        return [
            Notification(self._name, kind, topics[start : start + _MOST_TOPICS])
            for kind, topics in kinds.items()
            for start in range(0, len(topics), _MOST_TOPICS)
        ]
