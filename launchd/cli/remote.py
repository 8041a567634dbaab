"""The queue server, as commands speak to it: where it is, the key for it, and whose queues are meant."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click

from launchd.cli.home import Home, Note, NotUp, default_directory, living_note, state_dir_option
from launchd.client.credentials import ApiKeyNotFound, find_api_key, find_base_url
from launchd.client.errors import QueueServerError, Refused
from launchd.client.queue_server import QueueServer

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
    named = url or os.environ.get("WANDB_BASE_URL")
    note = None if named else living_note(state_dir)
    address, key = _of_up(note) if note else _elsewhere(named, Home(state_dir or default_directory(os.environ)).note())
    server = QueueServer(address, key)
    try:
        yield server
    finally:
        server.close()


def _of_up(note: Note) -> tuple[str, str]:
    # Not WANDB_API_KEY: where only that is set, it is the key of W&B's cloud.
    return note.url, find_api_key(note.url, {}, note.key_file).key


def _elsewhere(named: str | None, note: Note | None) -> tuple[str, str]:
    address = (named or find_base_url(os.environ).url).rstrip("/")
    key_file = note.key_file if note and note.url == address else None
    try:
        return address, find_api_key(address, os.environ, key_file).key
    except ApiKeyNotFound as error:
        if named:
            raise
        raise ApiKeyNotFound(
            f"No queue server is known here: `launchd up` does not run, WANDB_BASE_URL is not set. {error}"
        ) from None


def entity_of(server: QueueServer, entity: str | None) -> str:
    """Return the entity that is meant; raises :class:`QueueServerError`."""
    found = entity or os.environ.get("WANDB_ENTITY") or server.viewer().entity
    if not found:
        raise Refused("The API key belongs to no entity: name one with --entity.")
    return found


#: What a command that uses :func:`queue_server` may meet.
REMOTE_ERRORS = (QueueServerError, NotUp)
