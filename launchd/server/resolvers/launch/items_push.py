"""Pushing items into queues, by the names or the id of the queue."""

import contextlib
import json
from collections.abc import Callable
from typing import Any

import msgspec
from ariadne import MutationType
from sqlalchemy import Connection

from ipc.gpus import FLAG
from launchd.server.context import Context, Info
from launchd.server.errors import Refused
from launchd.server.launch.enqueue import enqueue, put_back
from launchd.server.launch.gpu_demands import demand_of
from launchd.server.launch.run_specs import is_scheduler
from launchd.server.launch.spec_checks import check_characters
from launchd.server.launch.submitters import Pusher
from launchd.server.models import Queue, Scope
from launchd.server.notifier import Work, work_topic
from launchd.server.resolvers.json_args import parse_object
from launchd.server.store.launch import items, queues
from launchd.server.store.launch.demands import NONE

mutation = MutationType()
bindables = [mutation]

_LONGEST_KEY = 128


@mutation.field("pushToRunQueueByName")
async def push_by_name(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def find(connection: Connection) -> Queue:
        return queues.require_pushed(
            connection, context.viewer, input["entity_name"], input["project_name"], input["queue_name"]
        )

    return await _push(context, find, input)


@mutation.field("pushToRunQueue")
async def push_by_id(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def find(connection: Connection) -> Queue:
        return queues.require_pushed_by_id(connection, context.viewer, input["queue_id"])

    return await _push(context, find, input)


async def _push(context: Context, find: Callable[[Connection], Queue], input: dict[str, Any]) -> dict[str, Any]:
    spec = _parse_spec(input["run_spec"])
    values = parse_object(input.get("template_variable_values"), "templateVariableValues")
    key = _key(input.get("idempotency_key"))
    pusher = Pusher(viewer=context.viewer, job_keys=context.app.job_keys)

    def work(connection: Connection) -> tuple[str, str, str]:
        queue = find(connection)
        before = items.pushed_before(connection, queue, key) if key else None
        if before is not None:
            return queue.id, *before
        if context.viewer.scope is Scope.AGENT:
            return queue.id, *put_back(connection, context.viewer, queue, spec.get("run_id"))
        return queue.id, *enqueue(connection, pusher, queue, spec, values, input.get("priority"), key)

    queue_id, item_id, text = await context.write_guarded(work)
    _wake(context, queue_id, text, is_a_scheduler=is_scheduler(spec))
    return {"run_queue_item_id": item_id, "run_spec": text}


def _wake(context: Context, queue_id: str, text: str, *, is_a_scheduler: bool) -> None:
    """Wake the claims for an item, also for one that existed: its first push may have been interrupted before."""
    # What does not have the word asks for no GPU.
    if FLAG in text and demand_of(msgspec.json.decode(text)) != NONE:
        context.app.notifier.wake_all([work_topic(queue_id, Work.GPUS)])
    else:
        kind = Work.SCHEDULER if is_a_scheduler else Work.PLAIN
        context.app.notifier.wake_one([work_topic(queue_id, kind)])


def _parse_spec(text: str) -> dict[str, Any]:
    """The run spec. Half of a surrogate pair is no JSON to most, but its sender wants to know where it is.

    Raises:
        Refused: not a JSON object, or with such a text.
    """
    try:
        return parse_object(text, "runSpec")
    except Refused:
        with contextlib.suppress(ValueError, RecursionError):
            spec = json.loads(text)
            if isinstance(spec, dict):
                check_characters(spec)
        raise


def _key(given: str | None) -> str | None:
    if given is not None and not 0 < len(given) <= _LONGEST_KEY:
        raise Refused(f"An idempotencyKey has 1 to {_LONGEST_KEY} characters, this one has {len(given)}.")
    return given
