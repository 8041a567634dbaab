"""`/launchd/outputs/ITEM`: who may see the item reads the output of its job, which the agent sends to `.../pieces`.

A reading waits until there is more, as a claim waits for work. Both carry bytes as they are; what they say about the
bytes is JSON: in the header `Launchd-Output` of a reading's answer, in the query of a sending.
"""

import asyncio
import json
import time
from typing import Any

import msgspec
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launchd.server.auth import may_write
from launchd.server.container import AppState
from launchd.server.errors import NotFound, Refused
from launchd.server.files.output_store import KeptOutput, OutputPiece
from launchd.server.http.disconnect import watch_disconnect
from launchd.server.http.responses import json_response
from launchd.server.launch.outputs import topic
from launchd.server.models import Item, LaunchAgent, Viewer
from launchd.server.store.database import Lane
from launchd.server.store.launch import agents, items, output_wishes
from launchd.server.store.launch.states import ENDED, HELD

PATH = "/launchd/outputs/{item}"
PIECES_PATH = f"{PATH}/pieces"
HEADER = "Launchd-Output"
MOST_BYTES = 256 * 1024
"""Of one piece, either way."""
LOOK_AGAIN_SECONDS = 1.0
"""How often a reading that waits looks at the item's state, of which nothing wakes it."""
FRESH_SECONDS = 15.0
"""An agent that is asked for output says something within this time."""
_LONGEST_ATTEMPT = 100


class _Reading(msgspec.Struct, frozen=True):
    """What a reading asks for, in its query."""

    attempt: str = ""
    after: int = 0
    wait: float = 0.0


class _Sending(msgspec.Struct, frozen=True):
    """What a sending says of its bytes, in its query."""

    agent: str
    attempt: str
    start: int
    size: int
    incarnation: str | None = None
    last: int = 0


def output_routes(app: AppState) -> list[Route]:
    """The HTTP routes of outputs."""
    return [_read_route(app), _send_route(app)]


def _read_route(app: AppState) -> Route:
    async def read(request: Request) -> Response:
        viewer = await app.auth.viewer(request)
        asked = _query(request, _Reading)
        with app.outputs.look(viewer.user_id):
            return await _when_there_is_more(app, viewer, request, asked)

    return Route(PATH, read, methods=["GET"])


async def _when_there_is_more(app: AppState, viewer: Viewer, request: Request, asked: _Reading) -> Response:
    item_id, clock = request.path_params["item"], asyncio.get_running_loop().time
    until = clock() + min(max(0.0, asked.wait), app.settings.max_wait_seconds)
    await request.body()
    with app.notifier.waiter([topic(item_id)]) as waiter:
        async with watch_disconnect(request, waiter.notify) as watch:
            while True:
                waiter.clear()
                item, agent = await _item(app, viewer, item_id)
                kept, start, content = await app.outputs.read(item_id, asked.attempt, asked.after, MOST_BYTES)
                is_over = item.state in ENDED and kept.is_complete
                if content or is_over or clock() >= until or watch.gone or app.notifier.closed:
                    return _answer(item, agent, kept, start, content)
                if agent is not None and (item.state in HELD or item.state in ENDED):
                    await app.outputs.want(item, agent.id)
                await waiter.notified_before(min(until, clock() + LOOK_AGAIN_SECONDS))


async def _item(app: AppState, viewer: Viewer, item_id: str) -> tuple[Item, LaunchAgent | None]:
    def work(connection: Connection) -> tuple[Item, LaunchAgent | None]:
        item = items.require_item(connection, viewer, item_id)
        return item, agents.find_agent(connection, viewer, item.agent_id) if item.agent_id else None

    return await app.database.read(work, Lane.USUAL)


def _answer(item: Item, agent: LaunchAgent | None, kept: KeptOutput, start: int, content: bytes) -> Response:
    about: dict[str, Any] = {
        "attempt": kept.attempt,
        "start": start,
        "size": kept.size,
        "is_complete": kept.is_complete,
        "is_fresh": kept.is_complete or time.time() - kept.heard_at < FRESH_SECONDS,
        "state": item.state,
        "has_ended": item.state in ENDED,
        "hostname": agent.hostname if agent else None,
        # W&B's agent is no process that says which one it is, and sends no output.
        "is_sent": agent is not None and agent.incarnation is not None,
        "silent_seconds": agent.silent_seconds if agent else None,
    }
    headers = {
        HEADER: json.dumps(about),
        # A browser must not take a job's output for a page of this server.
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment",
    }
    return Response(content, headers=headers, media_type="application/octet-stream")


def _send_route(app: AppState) -> Route:
    async def send(request: Request) -> Response:
        viewer = may_write(await app.auth.viewer(request))
        told, item_id = _query(request, _Sending), request.path_params["item"]
        content = await app.bodies.read(request, MOST_BYTES)
        piece = OutputPiece(
            attempt=told.attempt[:_LONGEST_ATTEMPT],
            start=told.start,
            content=content,
            size=told.size,
            is_last=bool(told.last),
        )
        wanted = await app.database.read(lambda connection: _check_sender(connection, viewer, item_id, told))
        kept = await app.outputs.add(item_id, piece)
        return json_response(200, {"wanted_seconds": wanted, "end": kept.end})

    return Route(PIECES_PATH, send, methods=["POST"])


def _check_sender(connection: Connection, viewer: Viewer, item_id: str, told: _Sending) -> float:
    """Check that the sender is the agent that has or had the item. Returns for how long its output is wanted."""
    agent = agents.require_agent(connection, viewer, told.agent)
    agents.check_incarnation(agent, told.incarnation)
    item = items.require_item(connection, viewer, item_id)
    if item.agent_id != agent.id:
        raise NotFound(f"Item {item_id} is not this agent's.")
    return output_wishes.seconds_left(connection, item.number)


def _query(request: Request, kind: type[Any]) -> Any:
    """The values in a request's query.

    Raises:
        Refused: one is missing, or is no number where one is due.
    """
    try:
        values = msgspec.convert(dict(request.query_params), kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(f"The query of the request is wrong: {error}.") from error
    if min(getattr(values, name, 0) for name in ("after", "start", "size")) < 0:
        raise Refused("A position in an output is no negative number.")
    return values
