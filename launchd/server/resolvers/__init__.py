"""Resolvers by topic. Owns the list; each module translates between GraphQL and the store."""

from launchd.server.resolvers import (
    agents,
    artifacts,
    claims,
    commits,
    items,
    projects,
    pushing,
    queues,
    reports,
    runs,
    viewer,
)

bindables = [
    *viewer.bindables,
    *projects.bindables,
    *queues.bindables,
    *pushing.bindables,
    *items.bindables,
    *agents.bindables,
    *claims.bindables,
    *reports.bindables,
    *runs.bindables,
    *artifacts.bindables,
    *commits.bindables,
]
