"""The client of the queue server that a command uses: its address and key, and the entity that is meant."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from launchd.client.credentials import ApiKey
from launchd.client.errors import QueueServerError, Refused, Unauthorized
from launchd.client.queue_server import Item, QueueServer
from launchd.local.endpoint import resolve_endpoint
from launchd.local.instance import InstanceNotRunning

#: The exceptions of :func:`queue_server` and of the calls on what it yields.
REMOTE_ERRORS = (QueueServerError, InstanceNotRunning)


@contextmanager
def queue_server(url: str | None, state_dir: Path | None) -> Iterator[QueueServer]:
    """Yield a client of the server at ``url``, else of the running `launchd up`, else of the one in W&B's settings.

    Raises:
        QueueServerError: there is no key for it; of one that is not accepted it says where it was found.
        InstanceNotRunning: no `launchd up` runs over ``state_dir``.
    """
    address, key = resolve_endpoint(url, state_dir, os.environ)
    server = QueueServer(address.url, key.key, author=os.environ.get("WANDB_USERNAME"))
    try:
        with naming_refused_key(key):
            yield server
    finally:
        server.close()


@contextmanager
def naming_refused_key(key: ApiKey) -> Iterator[None]:
    """Add to the error of a key that is not accepted where it was found."""
    try:
        yield
    except Unauthorized as error:
        raise Unauthorized(f"{error} The key is the one from {key.origin}.") from error


def resolve_entity(server: QueueServer, entity: str | None) -> str:
    """Return ``entity``, else `WANDB_ENTITY`, else the entity of the key; raises :class:`QueueServerError`."""
    found = entity or os.environ.get("WANDB_ENTITY") or server.viewer().entity
    if not found:
        raise Refused("The API key belongs to no entity: name one with --entity.")
    return found


def require_item(server: QueueServer, word: str) -> Item:
    """Return the item that ``word`` means: an id or its beginning, a run, a name, or ``@last``.

    Raises:
        QueueServerError: there is none, or there are several.
    """
    found = server.find_item(word)
    if found is None:
        what = "You have pushed no item" if word == "@last" else f"There is no item {word!r} that you may see"
        raise Refused(f"{what} at {server.base_url}.")
    return found


def require_entity(server: QueueServer, entity: str) -> None:
    """Raise :class:`QueueServerError` for an entity that does not exist: its lists are empty like those of others."""
    if not server.knows_entity(entity):
        raise Refused(f"There is no entity {entity!r} at {server.base_url} that you may use.")
