"""Agents of sweeps: registration, and the heartbeat that hands out runs."""

import asyncio
from collections.abc import Mapping
from typing import Any

from ariadne import MutationType, ObjectType
from sqlalchemy import Connection

from launchd.server.context import Context, Info
from launchd.server.errors import Refused
from launchd.server.models import Sweep, SweepAgent
from launchd.server.resolvers.json_args import parse_object
from launchd.server.resolvers.runs.lists import page_of_runs
from launchd.server.runs import lenient_json
from launchd.server.store.runs import lists as run_lists
from launchd.server.store.runs.lists import RunQuery
from launchd.server.store.sweeps import ends as sweep_ends
from launchd.server.store.sweeps import results as sweep_results
from launchd.server.store.sweeps import runs as sweep_runs
from launchd.server.store.sweeps import sweeps
from launchd.server.store.sweeps.runs import AgentHeartbeat
from launchd.server.store.sweeps.states import ENDED, RUNNING
from launchd.server.sweeps import bayes
from launchd.server.sweeps.config import CUSTOM, read_config

mutation = MutationType()
agent = ObjectType("Agent")
sweep = ObjectType("Sweep")
bindables = [mutation, agent, sweep]

_MOST_ALIVE = 1000


@mutation.field("createAgent")
async def create(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context

    def work(connection: Connection) -> SweepAgent:
        found = sweeps.require_sweep(
            connection, context.viewer, input.get("entity_name"), input.get("project_name"), input["sweep"]
        )
        if found.method == CUSTOM and not found.launched:
            raise Refused(
                f"The runs of sweep {found.name!r} come from its scheduler, a job, and not from an agent:"
                " start it with wandb launch-sweep."
            )
        agent_id = sweeps.add_agent(connection, found, input["host"])
        return sweeps.require_agent(connection, context.viewer, agent_id)

    return {"agent": await context.write(work)}


@mutation.field("agentHeartbeat")
async def agent_heartbeat(_: object, info: Info, input: dict[str, Any]) -> dict[str, Any]:
    context = info.context
    states = parse_object(input.get("run_state"), "runState")
    if len(states) > _MOST_ALIVE:
        raise Refused(f"runState has {len(states)} runs; an agent can have at most {_MOST_ALIVE}.")
    # The scheduler may name its runs by their whole path.
    alive = frozenset(name.rpartition("/")[2] for name, lives in states.items() if lives)

    def load(connection: Connection) -> AgentHeartbeat:
        found = sweeps.require_agent(connection, context.viewer, input["id"])
        of = sweeps.sweep_by_number(connection, found.sweep_id)
        return AgentHeartbeat(found, of, read_config(of.config), alive)

    heartbeat = await context.read(load)
    suggested = await _suggestion(context, heartbeat)
    commands = await context.write(lambda connection: sweep_runs.commands(connection, load(connection), suggested))
    return {"agent": heartbeat.agent, "commands": lenient_json.dumps(commands)}


async def _suggestion(context: Context, heartbeat: AgentHeartbeat) -> Mapping[str, Any] | None:
    """Values suggested by Optuna, where they will be needed. Slow, so computed before the transaction."""
    wanted = heartbeat.sweep.state == RUNNING and not heartbeat.alive
    if heartbeat.config.method != "bayes" or not wanted:
        return None
    if await context.read(sweep_ends.is_exhausted, heartbeat.sweep, heartbeat.config):
        return None
    seen = await context.read(sweep_results.observations, heartbeat.sweep, heartbeat.config)
    return await asyncio.to_thread(bayes.suggest, heartbeat.config, seen)


@sweep.field("agents")
async def resolve_agents(found: Sweep, info: Info) -> dict[str, Any]:
    rows = await info.context.read(sweeps.agents_of, found.id)
    return {"edges": [{"node": row} for row in rows]}


@sweep.field("agent")
async def resolve_agent(found: Sweep, info: Info, agent_name: str) -> SweepAgent | None:
    rows = await info.context.read(sweeps.agents_of, found.id)
    return next((row for row in rows if row.id == agent_name), None)


@agent.field("name")
def resolve_name(found: SweepAgent, info: Info) -> str:
    return found.id


@agent.field("state")
async def resolve_state(found: SweepAgent, info: Info) -> str:
    of = await info.context.read(sweeps.sweep_by_number, found.sweep_id)
    return "FINISHED" if of.state in ENDED else "RUNNING"


@agent.field("totalRuns")
async def resolve_total_runs(found: SweepAgent, info: Info) -> int:
    return await info.context.read(run_lists.count, await _query(info, found), info.context.answer)


@agent.field("runs")
async def resolve_runs(
    found: SweepAgent,
    info: Info,
    order: str | None = None,
    after: str | None = None,
    first: int | None = None,
    before: str | None = None,
    last: int | None = None,
) -> dict[str, Any]:
    """In order of creation; no client uses `before` and `last`."""
    return await page_of_runs(info, await _query(info, found), after, first)


async def _query(info: Info, found: SweepAgent) -> RunQuery:
    of = await info.context.read(sweeps.sweep_by_number, found.sweep_id)
    return RunQuery(of.project_id, {"agent": found.id})
