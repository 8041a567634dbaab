"""Makes us known to the queue server: whose key, which queues, which agent.

Plain calls, one after the other; the poller's thread makes them.
"""

import socket
from collections.abc import Sequence
from typing import Any

import msgspec

from launchd import __version__
from launchd.agent.events import Registered
from launchd.client.errors import Refused
from launchd.client.queue_server import Agent, Queue, QueueServer


class RegistrationRequest(msgspec.Struct, frozen=True):
    """What we register as.

    ``remembered_id`` is the agent we were before a restart; ``known_items`` are
    the items in our care: whatever else is leased to that agent goes back to its queue.
    """

    entity: str | None
    queue_names: tuple[str, ...]
    public_config: dict[str, Any]
    version: str
    remembered_id: str | None = None
    known_items: tuple[str, ...] = ()


def default_version() -> str:
    """Return the version that agents report: ``launchd@`` and ours."""
    return f"launchd@{__version__}"


def register(server: QueueServer, request: RegistrationRequest) -> Registered:
    """Register, or go on as the agent we were.

    Raises:
        Refused: a queue does not exist, or the server says no.
        QueueServerError: the server did not answer.
    """
    capabilities = server.capabilities()
    entity = request.entity or _default_entity(server)
    queues = _find_queues(server, entity, request.queue_names)
    for_team = _is_team(server, entity)
    if not capabilities.launch_agents:
        # W&B's servers from before launch agents: nobody can see us there, nor stop us; jobs are had all the same.
        return Registered("", "", entity, request.queue_names, capabilities, for_team)
    agent = _resume(server, request, queues, capabilities.launchd_protocol)
    if agent is None:
        agent = _create(server, request, entity, queues)
    return Registered(agent.id, agent.name, entity, request.queue_names, capabilities, for_team)


def _default_entity(server: QueueServer) -> str:
    entity = server.viewer().entity
    if not entity:
        raise Refused("The API key belongs to nobody's default entity. Name one with --entity or in the configuration.")
    return entity


def _is_team(server: QueueServer, entity: str) -> bool:
    try:
        return server.is_team(entity)
    except Refused:
        # What hangs on it is a warning: no reason to do without an agent.
        return False


def _find_queues(server: QueueServer, entity: str, names: Sequence[str]) -> list[Queue]:
    known = _queues_by_name(server, entity)
    if not known and "default" in names:
        # As W&B's agent does for an entity without any queue.
        server.create_queue(entity, "default", prioritization="DISABLED")
        known = _queues_by_name(server, entity)
    missing = [name for name in names if name not in known]
    if missing:
        there = ", ".join(sorted(known)) or "none"
        lacking = "There is no queue" if len(missing) == 1 else "There are no queues"
        raise Refused(
            f"{lacking} {', '.join(missing)} of entity {entity} at {server.base_url}. Its queues: {there}."
            " Correct `queues`, or create the queue with `launchd queue create`."
        )
    return [known[name] for name in dict.fromkeys(names)]


def _queues_by_name(server: QueueServer, entity: str) -> dict[str, Queue]:
    return {queue.name: queue for queue in server.queues(entity)}


def _resume(server: QueueServer, request: RegistrationRequest, queues: Sequence[Queue], native: bool) -> Agent | None:
    if not native or request.remembered_id is None:
        return None
    agent = server.agent(request.remembered_id)
    if agent is None:
        return None
    server.resume_agent(agent.id, request.known_items)
    same_queues = set(agent.queue_ids or ()) == {queue.id for queue in queues}
    return agent if same_queues and not agent.stop_polling else None


def _create(server: QueueServer, request: RegistrationRequest, entity: str, queues: Sequence[Queue]) -> Agent:
    agent_id = server.create_agent(
        entity, [queue.id for queue in queues], socket.gethostname(), request.public_config, request.version
    )
    agent = server.agent(agent_id)
    if agent is None:
        raise Refused(f"The server created agent {agent_id} and does not know it.")
    return agent
