"""What a shell completes beside commands and options: queues, items, GPUs and keys, from agent and queue server.

Silent: where there is no answer in time there is nothing to complete. Owns the deadline; changes nothing.
"""

import os
import shlex
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import click
import msgspec
from click.shell_completion import CompletionItem

from launchd.doctor.deadlines import within

#: How long a shell waits for words, in seconds.
SECONDS = 1.5

#: Of each queue, so many items are offered, the newest first; and of so many queues.
_ITEMS, _QUEUES = 20, 10

#: A word, and what shells that can do so show beside it.
Word = tuple[str, str]
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]

_words = msgspec.json.Decoder(list[Word])


def from_host(find: Callable[[dict[str, Any]], Iterable[Word]]) -> Complete:
    """Make a completion of ``find``, which is given what stands on the command line and may fail or hang."""

    def complete(context: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        said = within([(partial(_encoded, find, dict(context.params)), SECONDS)])[0]
        words: list[Word] = []
        with suppress(msgspec.DecodeError):
            words = _words.decode(said or b"[]")
        # Names of others: one with a line break would be several words, or a command of the shell's own.
        plain = {word: note for word, note in words if word.startswith(incomplete) and word.isprintable()}
        return [CompletionItem(_as_inserted(word), help=note or None) for word, note in plain.items()]

    return complete


def _as_inserted(word: str) -> str:
    """Return a word as the shell puts it into the command line: bash does not quote it, other shells do."""
    return shlex.quote(word) if os.environ.get("_LAUNCHD_COMPLETE", "").startswith("bash") else word


def _encoded(find: Callable[[dict[str, Any]], Iterable[Word]], given: dict[str, Any]) -> bytes:
    return msgspec.json.encode([*find(given)])


def _queues(given: dict[str, Any]) -> Iterator[Word]:
    from launchd.cli.server_client import queue_server, resolve_entity  # noqa: PLC0415 - in a process of its own

    with queue_server(given.get("url"), given.get("state_dir")) as server:
        for queue in server.queues(resolve_entity(server, given.get("entity"))):
            yield queue.name, ""


def _items_of_server(given: dict[str, Any]) -> Iterator[Word]:
    from launchd.cli.server_client import queue_server, resolve_entity  # noqa: PLC0415

    with queue_server(given.get("url"), given.get("state_dir")) as server:
        entity = resolve_entity(server, given.get("entity"))
        for queue in server.queues(entity)[:_QUEUES]:
            for item in server.queue_items(entity, queue.name, _ITEMS):
                yield item.id, f"{queue.name}: {item.state.lower()}"


def _jobs(given: dict[str, Any]) -> Iterator[Word]:
    """Yield the jobs of this host's agent, those that are over last."""
    from launchd.cli.local_agent import ask_agent, runtime_dir  # noqa: PLC0415

    status = ask_agent(runtime_dir(given.get("config_path"), given.get("state_dir")), command="status")["status"]
    for job in (*(status.get("jobs") or ()), *(status.get("recent") or ())):
        yield job["item_id"], f"{job.get('queue')}: {job.get('phase') or job.get('status')}"


def _gpus(given: dict[str, Any]) -> Iterator[Word]:
    from launchd.cli.local_agent import ask_agent, runtime_dir  # noqa: PLC0415

    status = ask_agent(runtime_dir(given.get("config_path"), given.get("state_dir")), command="status")["status"]
    for gpu in status.get("gpus", {}).get("gpus") or ():
        yield gpu["label"], gpu.get("name") or ""


def _everywhere(given: dict[str, Any]) -> Iterator[Word]:
    for find in (_jobs, _items_of_server):
        # One of both is enough; an error of either is said when the command is run.
        with suppress(Exception):
            yield from find(given)


queues: Complete = from_host(_queues)
"""Queues of the queue server."""
items: Complete = from_host(_everywhere)
"""Jobs of this host's agent, and items of the queue server."""
gpus: Complete = from_host(_gpus)
"""GPUs of this host's agent."""
