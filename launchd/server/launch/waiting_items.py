"""What people change about an item that waits: its priority, and its queue."""

from typing import Any, NoReturn

import msgspec
from sqlalchemy import Connection

from launchd.server.errors import Refused
from launchd.server.launch.run_specs import check_priority
from launchd.server.models import Item, Queue, Viewer
from launchd.server.store.launch import items, queues
from launchd.server.store.launch.states import DEFAULT_PRIORITY


def set_priority(connection: Connection, viewer: Viewer, item_id: str, priority: int) -> Item:
    """Give a waiting item another priority. Returns it as it was.

    Raises:
        NotFound: no such item that the viewer may use.
        Refused: it does not wait, its queue has no priorities, or there is no such priority.
    """
    found = items.require_item(connection, viewer, item_id)
    queue = queues.require_queue_by_id(connection, viewer, found.queue_id)
    rank = check_priority(priority, by_priority=_has_priorities(queue), default=DEFAULT_PRIORITY)
    if not items.set_priority(connection, found, rank):
        _refuse(connection, viewer, found)
    return found


def move(connection: Connection, viewer: Viewer, item_id: str, queue_id: str) -> Item:
    """Put a waiting item into another queue. Returns it as it was.

    It stays as old as it is, and keeps what the queue that it was pushed to has added to its run spec.

    Raises:
        NotFound: no such item or queue that the viewer may use.
        Refused: it does not wait, or the queue is of another entity or for another resource.
    """
    found = items.require_item(connection, viewer, item_id)
    queue = queues.require_queue_by_id(connection, viewer, queue_id)
    if queue.entity_name != found.entity_name:
        raise Refused(
            f"Queue {queue.name!r} is of entity {queue.entity_name!r}, and the item of {found.entity_name!r}."
        )
    _check_resource(connection, found, queue)
    priority = found.priority if _has_priorities(queue) else DEFAULT_PRIORITY
    if not items.move(connection, found, queue, priority):
        _refuse(connection, viewer, found)
    return found


def _check_resource(connection: Connection, found: Item, queue: Queue) -> None:
    """The scheduler of a sweep has a resource of its own, in any queue."""
    config = queues.find_config(connection, queue.entity_id, queue.resource_config_id)
    resource = msgspec.json.decode(found.run_spec, type=dict[str, Any]).get("resource")
    if found.is_scheduler or config is None or resource == config.resource:
        return
    raise Refused(
        f"Queue {queue.name!r} is for {config.resource}, and the item for {resource}: launch it there, because what its"
        " queue has added to it says nothing to the other resource."
    )


def _has_priorities(queue: Queue) -> bool:
    return queue.prioritization_mode == queues.BY_PRIORITY


def _refuse(connection: Connection, viewer: Viewer, before: Item) -> NoReturn:
    # An agent may have taken it since it was read.
    found = items.require_item(connection, viewer, before.id)
    raise Refused(f"Item {found.id} does not wait in its queue: it is {found.state.lower()}.")
