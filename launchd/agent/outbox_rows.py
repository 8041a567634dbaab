"""The table ``outbox`` of the journal: what the queue server still has to be told, and what it refused.

What a row says is in ``deliveries.py``; ``outbox.py`` alone changes rows, and sends what is undelivered.
"""

import json
from collections.abc import Iterable, Sequence

import msgspec

from launchd.agent.job_record import JobRecord
from launchd.agent.journal_file import JournalFile

_ADD_DELIVERY = "INSERT INTO outbox (id, item_id, agent_id, kind, body, created_at) VALUES (?, ?, ?, ?, ?, ?)"
_DELIVERIES = "SELECT id, item_id, agent_id, kind, body, created_at FROM outbox WHERE refused_at IS NULL ORDER BY id"
_REFUSED_DELIVERIES = """
SELECT id, item_id, agent_id, kind, body, created_at, refused_at, reason
FROM outbox WHERE refused_at IS NOT NULL ORDER BY id
"""

#: An outcome that the server has makes those that it refused before meaningless.
_REMOVE_REFUSED_BEFORE = """
DELETE FROM outbox WHERE refused_at IS NOT NULL AND kind = 'outcome'
AND item_id = (SELECT item_id FROM outbox WHERE id = ? AND kind = 'outcome')
"""
_REMOVE_DELIVERY = "DELETE FROM outbox WHERE id = ?"

#: A refused outcome with a later one of the same item: that one counts.
_REMOVE_SUPERSEDED = """
DELETE FROM outbox WHERE id = ? AND kind = 'outcome' AND EXISTS (
    SELECT 1 FROM outbox AS later
    WHERE later.item_id = outbox.item_id AND later.kind = 'outcome' AND later.id > outbox.id
)
"""
_REFUSED_OUTCOMES = """
SELECT id FROM outbox WHERE refused_at IS NOT NULL AND kind = 'outcome' AND item_id = ?
AND CASE WHEN json_valid(body) THEN json_extract(body, '$.report.lease') = ? END
"""
_SET_REFUSED = "UPDATE outbox SET refused_at = ?, reason = ? WHERE id = ?"
_DROP = "DELETE FROM outbox WHERE id = ? AND refused_at IS NOT NULL"
_COUNT_REFUSED = "SELECT count(*) FROM outbox WHERE refused_at IS NOT NULL"
_LAST_ID = "SELECT max(id) FROM outbox"


class Delivery(msgspec.Struct, frozen=True):
    """Something the queue server has to be told, until it has been: a row of the outbox.

    ``kind`` is ``outcome`` (the item's end), ``warning`` or ``requeue``; ``body`` its content as JSON.
    """

    id: int
    item_id: str
    agent_id: str
    kind: str
    body: str
    created_at: float


class RefusedDelivery(msgspec.Struct, frozen=True):
    """A row of the outbox that the queue server refused for ``reason``; it is sent again when that is asked for."""

    delivery: Delivery
    refused_at: float
    reason: str


class OutboxRows:
    """The rows of one journal; changes are on disk with its next commit.

    Every method raises :class:`~launchd.agent.journal_file.JournalError` where the journal cannot be read.
    """

    def __init__(self, file: JournalFile) -> None:
        self._file = file
        self._next_id = (file.rows(_LAST_ID)[0][0] or 0) + 1

    def undelivered(self) -> list[Delivery]:
        """Return what the queue server still has to be told, the oldest first; without what it refused."""
        return [Delivery(*row) for row in self._file.rows(_DELIVERIES)]

    def refused(self) -> list[RefusedDelivery]:
        """Return what the queue server refused, the oldest first."""
        return [RefusedDelivery(Delivery(*row[:-2]), *row[-2:]) for row in self._file.rows(_REFUSED_DELIVERIES)]

    def count_refused(self) -> int:
        """Return how many rows the queue server refused."""
        count: int = self._file.rows(_COUNT_REFUSED)[0][0]
        return count

    def refused_outcomes(self, item_id: str, lease: int) -> list[int]:
        """Return the ids of the refused rows that are outcomes of this lease of an item."""
        return [row_id for (row_id,) in self._file.rows(_REFUSED_OUTCOMES, item_id, lease)]

    def add(self, job: JobRecord, kind: str, body: dict[str, object], now: float) -> Delivery:
        """Keep something for the queue server and return it; it may go out after the commit."""
        delivery = Delivery(self._next_id, job.item_id, job.agent_id, kind, json.dumps(body), now)
        self._file.change(_ADD_DELIVERY, *msgspec.structs.astuple(delivery))
        self._next_id += 1
        return delivery

    def remove(self, ids: Iterable[int]) -> None:
        """Forget what the queue server has been told."""
        for delivery_id in ids:
            self._file.change(_REMOVE_REFUSED_BEFORE, delivery_id)
            self._file.change(_REMOVE_DELIVERY, delivery_id)

    def set_refused(self, ids: Iterable[int], reason: str, now: float) -> None:
        """Keep rows as dead letters, which the queue server refused for ``reason``."""
        for delivery_id in ids:
            self._file.change(_REMOVE_SUPERSEDED, delivery_id)
            self._file.change(_SET_REFUSED, now, reason, delivery_id)

    def retry(self, ids: Sequence[int] | None) -> list[Delivery]:
        """Make these dead letters, or all of them, rows to be delivered again, and return them."""
        letters = self._letters(ids)
        for delivery in letters:
            self._file.change(_SET_REFUSED, None, None, delivery.id)
        return letters

    def drop(self, ids: Sequence[int] | None) -> list[Delivery]:
        """Forget these dead letters, or all of them, and return them."""
        letters = self._letters(ids)
        for delivery in letters:
            self._file.change(_DROP, delivery.id)
        return letters

    def _letters(self, ids: Sequence[int] | None) -> list[Delivery]:
        return [letter.delivery for letter in self.refused() if ids is None or letter.delivery.id in ids]
