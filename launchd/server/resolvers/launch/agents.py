"""Launch agents: registration, status, and the request to leave."""

from typing import Any

from ariadne import MutationType, ObjectType, QueryType
from sqlalchemy import Connection

from launchd.server.context import Info
from launchd.server.errors import Refused
from launchd.server.launch.agent_managers import require_managed
from launchd.server.models import AgentIdentity, Item, LaunchAgent, Role
from launchd.server.notifier import work_topics
from launchd.server.resolvers.pagination import size_of
from launchd.server.store.accounts import principals
from launchd.server.store.launch import agents, items, leases

query = QueryType()
mutation = MutationType()
agent = ObjectType("LaunchAgent")
bindables = [query, mutation, agent]

_ITEMS, _MOST_ITEMS = 100, 1000


@query.field("launchAgent")
async def resolve_agent(_: object, info: Info, id: str) -> LaunchAgent | None:
    """W&B's agent sends no heartbeats: its query for itself counts as one, if the caller may serve queues.

    Not so for an agent that says which process it is: another process that asks for it does not keep it living.
    """
    context = info.context
    writing = context.viewer.writing()

    def work(connection: Connection) -> LaunchAgent | None:
        found = agents.find_agent(connection, writing, id) if context.viewer.key_role >= Role.MEMBER else None
        if found is not None and found.incarnation is None:
            agents.record_heartbeat(connection, id)
        return agents.find_agent(connection, context.viewer, id)

    return await context.write_guarded(work)


@query.field("launchAgents")
async def resolve_agents(_: object, info: Info, entity_name: str) -> list[LaunchAgent]:
    context = info.context

    def work(connection: Connection) -> list[LaunchAgent]:
        entity = principals.require_entity(connection, context.viewer, entity_name)
        return agents.agents_of(connection, context.viewer, entity)

    return await context.read(work)


@agent.field("runQueues")
def resolve_queue_ids(found: LaunchAgent, info: Info) -> tuple[str, ...]:
    return found.queue_ids


@agent.field("agentStatus")
def resolve_status(found: LaunchAgent, info: Info) -> str:
    """The agent's last status, or LOST where its heartbeats stopped and it has not left."""
    timeout = info.context.app.settings.agent_timeout_seconds
    lost = found.status != agents.KILLED and not agents.is_living(found, timeout)
    return agents.LOST if lost else found.status


@agent.field("heldItems")
async def resolve_held_items(found: LaunchAgent, info: Info, first: int | None = None) -> list[Item]:
    size = size_of(first, _ITEMS, _MOST_ITEMS)
    return await info.context.read(items.held_by, info.context.viewer, found.id, size)


@agent.field("agentConfig")
def resolve_config(found: LaunchAgent, info: Info) -> str | None:
    return found.config


@agent.field("secondsSinceHeartbeat")
def resolve_seconds_since_heartbeat(found: LaunchAgent, info: Info) -> float:
    return max(0.0, found.silent_seconds)


@mutation.field("createLaunchAgent")
async def create(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> str:
        entity = principals.require_served(connection, context.viewer, input["entity_name"])
        return agents.create_agent(
            connection,
            context.viewer,
            entity,
            input["run_queues"],
            hostname=input["hostname"],
            config=input.get("agent_config"),
            version=input.get("version"),
            identity=AgentIdentity(incarnation=input.get("incarnation"), machine_id=input.get("machine_id")),
        )

    return {"launch_agent_id": await context.write(work)}


@mutation.field("updateLaunchAgent")
async def update(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    status = input.get("agent_status")

    def work(connection: Connection) -> tuple[bool, list[tuple[str, str]]]:
        found = agents.find_agent(connection, context.viewer, input["launch_agent_id"])
        given = input.get("incarnation")
        # A departure that arrives late does not concern the process that has become the agent since.
        if found is None or (given is not None and found.incarnation not in (None, given)):
            return False, []
        agents.record_heartbeat(connection, found.id, status)
        # An agent that leaves acknowledges nothing any more.
        return True, leases.return_unknown(connection, context.viewer, found.id, []) if status == agents.KILLED else []

    success, returned = await context.write_guarded(work)
    context.app.notifier.wake_all(work_topics(queue_id for _, queue_id in returned))
    return {"success": success}


@mutation.field("stopLaunchAgent")
async def stop(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> tuple[str, list[str]]:
        found = require_managed(connection, context.viewer, input["launch_agent_id"])
        agents.stop_polling(connection, context.viewer, found.id)
        held = items.held_by(connection, context.viewer, found.id) if input.get("stop_items") else []
        for item in held:
            items.stop(connection, item, input.get("reason"))
        return found.id, [item.id for item in held]

    agent_id, stopped = await context.write(work)
    context.app.notifier.wake_all([agent_id])
    return {"success": True, "stopped": stopped}


@mutation.field("undrainLaunchAgent")
async def undrain(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> str:
        found = require_managed(connection, context.viewer, input["launch_agent_id"])
        if not agents.is_living(found, context.app.settings.agent_timeout_seconds):
            raise Refused(f"Agent {found.name} on host {found.hostname!r} has left: start it again there.")
        agents.take_back_stop(connection, found.id)
        return found.id

    context.app.notifier.wake_all([await context.write(work)])
    return {"success": True}
