"""Tables of the store in SQLAlchemy Core, by topic."""

from launchd.server.store.tables.accounts import account_events, api_keys, entities, memberships, projects, users
from launchd.server.store.tables.artifacts import (
    artifact_aliases,
    artifact_collections,
    artifact_files,
    artifact_links,
    artifact_parts,
    artifact_runs,
    artifacts,
)
from launchd.server.store.tables.base import metadata
from launchd.server.store.tables.launch import (
    item_warnings,
    launch_agent_queues,
    launch_agents,
    output_wishes,
    resource_configs,
    run_queue_items,
    run_queues,
)
from launchd.server.store.tables.runs import run_alerts, run_files, run_lines, runs
from launchd.server.store.tables.state import server_state
from launchd.server.store.tables.sweeps import sweep_agents, sweep_bands, sweep_progress, sweeps
from launchd.server.store.tables.views import views

__all__ = [
    "account_events",
    "api_keys",
    "artifact_aliases",
    "artifact_collections",
    "artifact_files",
    "artifact_links",
    "artifact_parts",
    "artifact_runs",
    "artifacts",
    "entities",
    "item_warnings",
    "launch_agent_queues",
    "launch_agents",
    "memberships",
    "metadata",
    "output_wishes",
    "projects",
    "resource_configs",
    "run_alerts",
    "run_files",
    "run_lines",
    "run_queue_items",
    "run_queues",
    "runs",
    "server_state",
    "sweep_agents",
    "sweep_bands",
    "sweep_progress",
    "sweeps",
    "users",
    "views",
]
