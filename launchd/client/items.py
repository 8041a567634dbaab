"""Operations on items of a queue: push, look up, stop, delete; one part of `QueueServer`.

Owns which operation each method sends, and the retries of a push.
"""

import time
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from launchd.client.base import QUEUE_PROJECT, as_json
from launchd.client.errors import Refused, ServerBusy, ServerUnreachable
from launchd.client.models.items import Item, ItemReasons
from launchd.client.operations import launch, launchd_protocol
from launchd.client.queues import QueueOperations
from launchd.client.responses import PushedItem

T = TypeVar("T")

PUSH_RETRY_SECONDS = 15.0
_MOST_NAMED = 5
_FIRST_RETRY_DELAY, _LONGEST_RETRY_DELAY = 0.2, 2.0


class ItemOperations(QueueOperations):
    """Operations on single items."""

    def push(
        self,
        entity: str,
        queue: str,
        run_spec: Mapping[str, Any],
        *,
        project: str = QUEUE_PROJECT,
        priority: int | None = None,
        template_variables: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> str:
        """Put a run spec into a queue; returns the item's id. `priority`: 0 (critical), 1, 2 or 3 (low).

        With the launchd protocol, a push with the same `key` as an earlier one returns the item of that one. Without a
        `key`, a random one is used, and the push is retried for `PUSH_RETRY_SECONDS` while there is no response.
        """
        optional: dict[str, Any] = {}
        if priority is not None:
            if not self.capabilities().push_priority:
                raise Refused(f"The server at {self.base_url} knows no priorities.")
            optional["priority"] = priority
        if template_variables:
            optional["templateVariableValues"] = as_json(template_variables)
        knows_keys = self.capabilities().push_key
        if knows_keys:
            optional["idempotencyKey"] = key or uuid.uuid4().hex
        operation = launch.push(tuple(optional))
        target = {"entity": entity, "project": project, "queue": queue, "runSpec": as_json(run_spec)}
        send = partial(self._call, operation, **target, **optional)
        pushed: PushedItem = _retry_push(send) if knows_keys and key is None else send()
        return pushed.run_queue_item_id

    def submits_for_others(self) -> bool:
        """Return whether the key is a service account's, whose items may name another author. Launchd protocol."""
        account = self._call(launchd_protocol.VIEWER_KIND)
        return bool(account and account.is_service_account)

    def item(self, item_id: str) -> Item | None:
        """Return an item by its id alone, or None. Launchd protocol; `Refused` elsewhere: use `queue_item`."""
        if not self.capabilities().launchd_protocol:
            raise Refused(f"The server at {self.base_url} finds an item in a named queue only: name the queue.")
        return self._call(launchd_protocol.ITEM, id=item_id)

    def find_item(self, word: str) -> Item | None:
        """Return the item that a word means: an id or its beginning, a run, a name (the newest), or `@last`; or None.

        At an older server of launchd, an id alone. Launchd protocol.

        Raises:
            Refused: it is the beginning of the ids of several.
        """
        if not self.capabilities().find_items:
            return self.item(word)
        found = self._call(launchd_protocol.FIND_ITEMS, word=word)
        if len(found) > 1 and found[0].id.startswith(word):
            ids = ", ".join(item.id for item in found[:_MOST_NAMED])
            raise Refused(f"{word} is the beginning of {len(found)} items: {ids}{' ...' * (len(found) > _MOST_NAMED)}.")
        return found[0] if found else None

    def queue_item(self, entity: str, queue: str, item_id: str, project: str = QUEUE_PROJECT) -> Item | None:
        """Return an item of a named queue, or None, from any server: id, state and run id."""
        if not self.capabilities().item_by_id:
            # As W&B's clients do at servers that cannot look up a single item.
            return next((item for item in self.queue_items(entity, queue, project=project) if item.id == item_id), None)
        found = self._call(launch.QUEUE_ITEM, entity=entity, project=project, queue=queue, itemId=item_id)
        return found.run_queue.run_queue_item if found and found.run_queue else None

    def why(self, item_id: str) -> ItemReasons | None:
        """Return why an item waits, was refused or failed, or None for an unknown id. Launchd protocol.

        `Refused` at a server that does not say so: W&B's, or an older one.
        """
        if not self.capabilities().gpu_claims:
            raise Refused(f"The server at {self.base_url} does not say why an item waits.")
        return self._call(launchd_protocol.WHY, id=item_id)

    def stop_item(self, item_id: str, reason: str) -> str:
        """Ask for the stop of an item; returns the server's sentence about what becomes of it. Launchd protocol.

        A queued item is stopped at once.
        """
        result = self._call_launchd(launchd_protocol.STOP_ITEM, runQueueItemId=item_id, reason=reason)
        if not result.success:
            raise Refused(f"The server did not stop item {item_id}. {result.message}")
        return result.message

    def delete_item(self, entity: str, queue: str, item_id: str, project: str = QUEUE_PROJECT) -> bool:
        """Remove an item from its queue; returns whether the queue had it."""
        queue_id = self._queue_id(entity, queue, project)
        return bool(self._call(launch.DELETE_ITEM, queueId=queue_id, itemId=item_id).success)


def _retry_push(call: Callable[[], T]) -> T:
    """Return the result of `call`, which is retried while the server does not answer."""
    deadline, delay = time.monotonic() + PUSH_RETRY_SECONDS, _FIRST_RETRY_DELAY
    while True:
        try:
            return call()
        except (ServerUnreachable, ServerBusy):
            if time.monotonic() + delay > deadline:
                raise
        time.sleep(delay)
        delay = min(2 * delay, _LONGEST_RETRY_DELAY)
