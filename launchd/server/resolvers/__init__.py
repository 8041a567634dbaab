"""Resolvers by topic; each module translates between GraphQL and the store."""

from launchd.server.resolvers.accounts import accounts, organizations, projects, users
from launchd.server.resolvers.accounts import deletions as account_deletions
from launchd.server.resolvers.artifacts import artifacts, commit, gc, multipart
from launchd.server.resolvers.artifacts import collections as artifact_collections
from launchd.server.resolvers.artifacts import edits as artifact_edits
from launchd.server.resolvers.artifacts import lineage as artifact_lineage
from launchd.server.resolvers.artifacts import links as artifact_links
from launchd.server.resolvers.artifacts import logging as artifact_logging
from launchd.server.resolvers.launch import agents, gpus, heartbeats, items, items_push, leases, queues, reports
from launchd.server.resolvers.runs import alerts as run_alerts
from launchd.server.resolvers.runs import changes as run_changes
from launchd.server.resolvers.runs import console as run_console
from launchd.server.resolvers.runs import files as run_files
from launchd.server.resolvers.runs import history as run_history
from launchd.server.resolvers.runs import info as run_info
from launchd.server.resolvers.runs import lists as run_lists
from launchd.server.resolvers.runs import runs
from launchd.server.resolvers.runs import views as run_views
from launchd.server.resolvers.sweeps import agents as sweep_agents
from launchd.server.resolvers.sweeps import sweeps

bindables = [
    *accounts.bindables,
    *account_deletions.bindables,
    *users.bindables,
    *organizations.bindables,
    *projects.bindables,
    *queues.bindables,
    *items_push.bindables,
    *items.bindables,
    *agents.bindables,
    *leases.bindables,
    *gpus.bindables,
    *heartbeats.bindables,
    *reports.bindables,
    *runs.bindables,
    *run_history.bindables,
    *run_console.bindables,
    *run_lists.bindables,
    *run_changes.bindables,
    *run_info.bindables,
    *run_alerts.bindables,
    *run_views.bindables,
    *sweeps.bindables,
    *sweep_agents.bindables,
    *run_files.bindables,
    *artifacts.bindables,
    *artifact_collections.bindables,
    *artifact_edits.bindables,
    *artifact_links.bindables,
    *artifact_logging.bindables,
    *artifact_lineage.bindables,
    *multipart.bindables,
    *commit.bindables,
    *gc.bindables,
]
