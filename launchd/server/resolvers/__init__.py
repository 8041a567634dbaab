"""Resolvers by topic. Owns the list; each module translates between GraphQL and the store."""

from launchd.server.resolvers import (
    accounts,
    agents,
    artifacts,
    claims,
    commits,
    items,
    projects,
    pushing,
    queues,
    reports,
    run_console,
    run_files,
    run_history,
    run_upserts,
    runs,
    viewer,
)

bindables = [
    *accounts.bindables,
    *viewer.bindables,
    *projects.bindables,
    *queues.bindables,
    *pushing.bindables,
    *items.bindables,
    *agents.bindables,
    *claims.bindables,
    *reports.bindables,
    *runs.bindables,
    *run_upserts.bindables,
    *run_history.bindables,
    *run_console.bindables,
    *run_files.bindables,
    *artifacts.bindables,
    *commits.bindables,
]
