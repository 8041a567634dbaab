"""Runs of sweeps: handing them out to agents, once each.

One command at a time, decided in one writing transaction: two agents never get the same point of a grid. A run that an
agent was told to start and does not report alive is offered once more, because the response may have been lost; after
that it has failed. Preempted runs are handed out before new ones. The runs of a sweep with the method custom come from
its scheduler.
"""

import time
from collections.abc import Mapping, Sequence
from random import SystemRandom
from typing import Any

import msgspec
from sqlalchemy import Connection, select, update

from launchd.server.models import Run, Sweep, SweepAgent, Viewer
from launchd.server.runs import lenient_json, names
from launchd.server.store.runs import changes as run_changes
from launchd.server.store.runs import ends as run_ends
from launchd.server.store.runs import runs
from launchd.server.store.runs.states import ALIVE, FAILED, KILLED, NOT_ENDED, PENDING
from launchd.server.store.sweeps import ends as sweep_ends
from launchd.server.store.sweeps import preempted, sweeps
from launchd.server.store.sweeps import progress as sweep_progress
from launchd.server.store.sweeps import results as sweep_results
from launchd.server.store.sweeps.states import CANCELED, ENDED, RUNNING
from launchd.server.store.tables import runs as runs_table
from launchd.server.sweeps import samplers
from launchd.server.sweeps.config import CUSTOM, SweepConfig

_MOST_OFFERS = 2
_MOST_RUNS = 10_000
_random = SystemRandom()

Command = dict[str, Any]


class AgentHeartbeat(msgspec.Struct, frozen=True):
    """A heartbeat of an agent: the agent, its sweep, and the runs that it reports alive."""

    agent: SweepAgent
    sweep: Sweep
    config: SweepConfig
    alive: frozenset[str]


def commands(connection: Connection, heartbeat: AgentHeartbeat, suggested: Mapping[str, Any] | None) -> list[Command]:
    """The commands for the agent. `suggested`: values of the next run where the method computes them beforehand."""
    now = time.time()
    sweeps.change_agent(connection, heartbeat.agent.id, {"heartbeat_at": now})
    sweeps.change(connection, heartbeat.sweep.id, {"heartbeat_at": now})
    if heartbeat.sweep.state in ENDED:
        return _end_commands(connection, heartbeat, now)
    if heartbeat.config.early_terminate is not None:
        sweep_progress.catch_up(connection, heartbeat.sweep, heartbeat.config.early_terminate)
    _end_stopped_runs(connection, heartbeat, heartbeat.alive, now)
    stops = [{"type": "stop", "run_id": name} for name in _to_stop(connection, heartbeat)]
    if stops or heartbeat.alive or heartbeat.sweep.state != RUNNING:
        return stops
    if heartbeat.config.method == CUSTOM:
        return []
    return (
        _offer_again(connection, heartbeat, now)
        or _offer_preempted(connection, heartbeat)
        or _offer_next(connection, heartbeat, suggested)
    )


def _end_commands(connection: Connection, heartbeat: AgentHeartbeat, now: float) -> list[Command]:
    """Commands after the sweep's end. A scheduler reads the state itself and takes an exit for a cancellation."""
    if heartbeat.sweep.state != CANCELED and (heartbeat.sweep.launched or heartbeat.alive):
        return []
    # On this command W&B's agent kills what still runs.
    _end_stopped_runs(connection, heartbeat, frozenset(), now)
    return [{"type": "exit"}]


def _to_stop(connection: Connection, heartbeat: AgentHeartbeat) -> list[str]:
    if not heartbeat.alive or heartbeat.sweep.launched:
        return []
    wanted = select(runs_table.c.name).where(
        runs_table.c.sweep_id == heartbeat.sweep.id, runs_table.c.name.in_(heartbeat.alive), runs_table.c.stopped
    )
    return list(connection.execute(wanted).scalars())


def _end_stopped_runs(connection: Connection, heartbeat: AgentHeartbeat, alive: frozenset[str], now: float) -> None:
    """End stopped runs that the agent no longer reports: it has killed them, perhaps before they sent anything."""
    if heartbeat.sweep.launched:
        return
    gone = select(runs_table.c.id).where(
        runs_table.c.sweep_id == heartbeat.sweep.id,
        runs_table.c.sweep_agent_id == heartbeat.agent.id,
        runs_table.c.stopped,
        runs_table.c.state.in_(ALIVE),
        runs_table.c.name.not_in(alive),
    )
    for run_id in connection.execute(gone).scalars().all():
        run_ends.end(connection, run_id, KILLED, now)


def _offer_again(connection: Connection, heartbeat: AgentHeartbeat, now: float) -> list[Command]:
    agent = heartbeat.agent
    lost = agent.offered_run and runs.find_run(connection, heartbeat.sweep.project_id, agent.offered_run)
    if not lost or lost.state != PENDING:
        return []
    if agent.offers >= _MOST_OFFERS:
        run_ends.end(connection, lost.id, FAILED, now)
        return []
    sweeps.change_agent(connection, agent.id, {"offers": agent.offers + 1})
    return [_command(heartbeat, lost.name, _arguments_of(heartbeat, lost))]


def _offer_preempted(connection: Connection, heartbeat: AgentHeartbeat) -> list[Command]:
    waiting = preempted.next_of(connection, heartbeat.sweep)
    if waiting is None:
        return []
    preempted.announce(connection, waiting, heartbeat.agent.id)
    sweeps.change_agent(connection, heartbeat.agent.id, {"offered_run": waiting.name, "offers": 1})
    return [_command(heartbeat, waiting.name, _arguments_of(heartbeat, waiting)) | {"type": "resume"}]


def _arguments_of(heartbeat: AgentHeartbeat, run: Run) -> dict[str, Any]:
    """The sweep's parameters in the run's configuration, which has the run's own settings beside them."""
    config = lenient_json.load_object(run.config)
    return {
        key: config[key]
        for key in {parameter.path[0]: None for parameter in heartbeat.config.parameters}
        if key in config
    }


def _offer_next(
    connection: Connection, heartbeat: AgentHeartbeat, suggested: Mapping[str, Any] | None
) -> list[Command]:
    if sweep_ends.is_exhausted(connection, heartbeat.sweep, heartbeat.config):
        return _finish(connection, heartbeat)
    if heartbeat.config.method == "grid":
        point = _next_point(connection, heartbeat)
        return _finish(connection, heartbeat) if point is None else _offer(connection, heartbeat, point)
    return _offer(
        connection, heartbeat, suggested if suggested is not None else samplers.sample(heartbeat.config, _random)
    )


def _offer(connection: Connection, heartbeat: AgentHeartbeat, values: Mapping[str, Any]) -> list[Command]:
    arguments = samplers.arguments(heartbeat.config, values)
    name = names.new_run_id()
    row = {
        "display_name": f"{heartbeat.sweep.name}-{sweep_results.count(connection, heartbeat.sweep.id) + 1}",
        "state": PENDING,
        "config": lenient_json.dumps(arguments),
        "sweep_id": heartbeat.sweep.id,
        "sweep_agent_id": heartbeat.agent.id,
    }
    runs.insert_run(connection, heartbeat.sweep.project_id, name, row)
    sweeps.change_agent(connection, heartbeat.agent.id, {"offered_run": name, "offers": 1})
    return [_command(heartbeat, name, arguments)]


def _next_point(connection: Connection, heartbeat: AgentHeartbeat) -> dict[str, Any] | None:
    """The next point of the grid that no run has; None where all have been given out."""
    place, size = heartbeat.sweep.grid_place, samplers.grid_size(heartbeat.config)
    taken = _points_taken(connection, heartbeat)
    while place < size and taken and samplers.point_key(samplers.grid_point(heartbeat.config, place)) in taken:
        place += 1
    sweeps.change(connection, heartbeat.sweep.id, {"grid_place": min(place + 1, size)})
    return samplers.grid_point(heartbeat.config, place) if place < size else None


def _points_taken(connection: Connection, heartbeat: AgentHeartbeat) -> frozenset[str]:
    """Points of the sweep's runs. Not read unless runs joined later: all others are before the current place."""
    if sweep_results.count(connection, heartbeat.sweep.id) <= heartbeat.sweep.grid_place:
        return frozenset()
    return sweep_results.points(connection, heartbeat.sweep, heartbeat.config)


def _finish(connection: Connection, heartbeat: AgentHeartbeat) -> list[Command]:
    """Finish the sweep, as nothing is left to start. A scheduler gets no exit, because it would stop its runs."""
    sweep_ends.finish(connection, heartbeat.sweep)
    return [] if heartbeat.sweep.launched else [{"type": "exit"}]


def _command(heartbeat: AgentHeartbeat, name: str, arguments: Mapping[str, Any]) -> Command:
    """The command to start a run. W&B's agent needs the key `program` even if it is null."""
    return {"type": "run", "run_id": name, "program": heartbeat.config.program, "args": arguments}


def cancel_runs(connection: Connection, viewer: Viewer, sweep: Sweep) -> list[str]:
    """Request a stop of all runs of the sweep. Returns the ids of the launch agents to be woken."""
    wanted = select(runs_table.c.id).where(runs_table.c.sweep_id == sweep.id, runs_table.c.state.in_(NOT_ENDED))
    alive = list(connection.execute(wanted.limit(_MOST_RUNS)).scalars())
    agents = [run_changes.stop(connection, viewer, run_id, "The sweep was canceled.") for run_id in alive]
    return [agent_id for agent_id in agents if agent_id is not None]


def adopt(connection: Connection, sweep: Sweep, found: Sequence[Run]) -> None:
    """Add existing runs of its project to the sweep."""
    theirs = runs_table.c.id.in_([run.id for run in found]), runs_table.c.project_id == sweep.project_id
    connection.execute(update(runs_table).where(*theirs).values(sweep_id=sweep.id))
