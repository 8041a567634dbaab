"""Which mutations a key may call that is for a part of its owner's rights: an agent's, or a job's.

What each of them may change by these is a condition in their statements; see `store.accounts.authorization`.
"""

from collections.abc import Mapping
from typing import Any

from graphql import GraphQLFieldResolver, GraphQLSchema

from launchd.server.context import Info
from launchd.server.errors import NotAllowed
from launchd.server.models import Scope

_OF_RUNS = frozenset({"upsertBucket", "createRunFiles"})
_OF_AGENTS = frozenset(
    {
        "ackRunQueueItem",
        "ackRunQueueItems",
        "claimRunQueueItems",
        "createLaunchAgent",
        "failRunQueueItem",
        "popFromRunQueue",
        "pushToRunQueue",
        "pushToRunQueueByName",
        "reportRunQueueItems",
        "resumeLaunchAgent",
        "returnRunQueueItems",
        "reportGpus",
        "updateLaunchAgent",
        "updateRunQueueItemWarning",
        "upsertSweep",
        "upsertView",
        "watchLaunchAgent",
    }
)
_OF_JOBS = frozenset(
    {
        "addAliases",
        "agentHeartbeat",
        "commitArtifact",
        "completeMultipartUploadArtifact",
        "createAgent",
        "createArtifact",
        "createArtifactCollectionTagAssignments",
        "createArtifactFiles",
        "createArtifactManifest",
        "createArtifactType",
        "deleteAliases",
        "deleteArtifact",
        "deleteArtifactCollectionTagAssignments",
        "deleteArtifactPortfolio",
        "deleteArtifactSequence",
        "deleteFiles",
        "deleteRun",
        "deleteView",
        "linkArtifact",
        "moveArtifactSequence",
        "notifyScriptableRunAlert",
        "pushToRunQueue",
        "pushToRunQueueByName",
        "rewindRun",
        "stopRun",
        "unlinkArtifact",
        "updateArtifact",
        "updateArtifactManifest",
        "updateArtifactPortfolio",
        "updateArtifactSequence",
        "updateRunState",
        "upsertModel",
        "upsertSweep",
        "useArtifact",
    }
)
MUTATIONS: Mapping[Scope, frozenset[str]] = {Scope.AGENT: _OF_RUNS | _OF_AGENTS, Scope.JOB: _OF_RUNS | _OF_JOBS}
"""The mutations of the scopes that do not have all. What is not named is refused."""

_OWNERS = {Scope.AGENT: "an agent's", Scope.JOB: "a job's"}


def guard_mutations(schema: GraphQLSchema) -> GraphQLSchema:
    """Have each mutation of the schema check first that the viewer's key is for it. Returns the schema.

    The resolvers raise `NotAllowed` where it is not.
    """
    fields = schema.mutation_type.fields if schema.mutation_type else {}
    for name, field in fields.items():
        if field.resolve is not None:
            field.resolve = _guarded(name, field.resolve)
    return schema


def _guarded(name: str, resolve: GraphQLFieldResolver) -> GraphQLFieldResolver:
    def resolve_guarded(source: Any, info: Info, **arguments: Any) -> Any:
        scope = info.context.viewer.scope
        if name not in MUTATIONS.get(scope, (name,)):
            raise NotAllowed(f"This API key is {_OWNERS[scope]}, which may not call {name}.")
        return resolve(source, info, **arguments)

    return resolve_guarded
