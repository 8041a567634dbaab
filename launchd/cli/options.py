"""The queue server, as commands speak to it: where it is, the key for it, and whose queues are meant."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from launchd.cli.instance_option import state_dir_option
from launchd.client.errors import QueueServerError, Refused
from launchd.client.queue_server import QueueServer
from launchd.local.endpoint import resolve_endpoint
from launchd.local.instance import InstanceNotRunning

F = TypeVar("F", bound=Callable[..., Any])


def server_options(command: F) -> F:
    """Give a command the options that say which server is meant: ``url`` and ``state_dir``."""
    url = click.option("-u", "--url", help="Address of the queue server [default: WANDB_BASE_URL, `launchd up`].")
    return url(state_dir_option(command))


entity_option = click.option("-e", "--entity", help="Whose queues are meant [default: WANDB_ENTITY, yours].")


@contextmanager
def queue_server(url: str | None, state_dir: Path | None) -> Iterator[QueueServer]:
    """A client of the server: the one named, that of the living `up`, or the one that W&B's settings name.

    Raises:
        QueueServerError: there is no key for it. `NotUp`: no `up` runs where it should.
    """
    address, key = resolve_endpoint(url, state_dir, os.environ)
    server = QueueServer(address.url, key.key, author=os.environ.get("WANDB_USERNAME"))
    try:
        yield server
    finally:
        server.close()


def entity_of(server: QueueServer, entity: str | None) -> str:
    """Return the entity that is meant; raises :class:`QueueServerError`."""
    found = entity or os.environ.get("WANDB_ENTITY") or server.viewer().entity
    if not found:
        raise Refused("The API key belongs to no entity: name one with --entity.")
    return found


def require_entity(server: QueueServer, entity: str) -> None:
    """Tell apart an entity that has nothing from one that is not there, which raises :class:`QueueServerError`."""
    if not server.knows_entity(entity):
        raise Refused(f"There is no entity {entity!r} at {server.base_url} that you may use.")


#: What a command that uses :func:`queue_server` may meet.
REMOTE_ERRORS = (QueueServerError, InstanceNotRunning)
