"""How every root field of the schema reaches an object of a `World`: a row for each.

A field that is new needs a row here, or `tests/test_architecture.py` fails; `tests/contract/server/test_every_field.py`
does the rest. New kinds of objects get a property in `world.py`.
"""

from collections.abc import Callable
from typing import Any

from launchd.server.gql.schema import build_schema
from tests.support.server import fresh_name
from tests.support.tenant import QUEUE_PROJECT, World

SCHEMA = build_schema()
Arguments = Callable[[World], dict[str, Any]]


def given(**values: Callable[[World], Any] | Any) -> Arguments:
    """Arguments of a mutation, all in `input`; a function gets the world."""
    return lambda world: {"input": {name: value(world) if callable(value) else value for name, value in values.items()}}


def entity(world: World) -> str:
    return world.entity


def in_queue(world: World) -> dict[str, Any]:
    return {
        "entityName": world.entity,
        "projectName": QUEUE_PROJECT,
        "queueName": world.queue if world.queue_id else "",
    }


def in_collection(world: World, **more: Any) -> dict[str, Any]:
    names = {"entityName": world.entity, "projectName": world.project, "artifactCollectionName": world.collection}
    return names | more


ROWS: dict[str, Arguments] = {
    # accounts
    "Query.viewer": lambda _: {},
    "Query.users": lambda world: {"query": world.owner},
    "Query.serverInfo": lambda _: {},
    "Query.organization": lambda world: {"name": world.entity},
    "Query.entity": lambda world: {"name": world.entity},
    "Query.project": lambda world: {"name": world.project, "entityName": world.entity},
    "Query.models": lambda world: {"entityName": world.entity if world.project else ""},
    "Mutation.upsertModel": lambda world: {"input": {"entityName": world.entity, "name": fresh_name("project")}},
    "Mutation.createUser": lambda world: {"input": {"email": f"{fresh_name('new')}@{world.entity}"}},
    "Mutation.generateApiKey": given(username=lambda world: world.owner),
    "Mutation.deleteApiKey": given(id=lambda world: world.key_id),
    "Mutation.createTeam": lambda world: {"input": {"teamName": fresh_name("new"), "teamAdminUserName": world.owner}},
    # An admin may take anybody into their team whose name they know.
    "Mutation.createInvite": given(entityName=entity, username="me"),
    "Mutation.deleteInvite": given(entityName=entity, id=lambda world: world.service_account_id),
    "Mutation.createServiceAccount": lambda world: {
        "input": {"entityName": world.entity, "description": "robot", "username": fresh_name("robot")}
    },
    # launch
    "Query.launchAgent": lambda world: {"id": world.agent},
    "Query.launchAgents": lambda world: {"entityName": world.entity if world.agent else ""},
    "Query.launchRunQueueItem": lambda world: {"id": world.item},
    "Mutation.createDefaultResourceConfig": given(entityName=entity, resource="local-process", config="{}"),
    "Mutation.createRunQueue": lambda world: {
        "input": in_queue(world)
        | {"queueName": fresh_name("new"), "access": "PROJECT", "defaultResourceConfigID": world.config_id}
    },
    "Mutation.upsertRunQueue": lambda world: {
        "input": in_queue(world) | {"resourceType": "local-container", "resourceConfig": "{}"}
    },
    "Mutation.deleteRunQueues": given(queueIDs=lambda world: [world.queue_id]),
    "Mutation.pushToRunQueueByName": lambda world: {"input": in_queue(world) | {"runSpec": "{}"}},
    "Mutation.pushToRunQueue": given(queueID=lambda world: world.queue_id, runSpec="{}"),
    "Mutation.popFromRunQueue": lambda world: {
        "input": (in_queue(world) if world.item else {}) | {"launchAgentId": world.agent}
    },
    "Mutation.ackRunQueueItem": given(runQueueItemId=lambda world: world.leased_item, runName="mine"),
    "Mutation.failRunQueueItem": given(runQueueItemId=lambda world: world.leased_item, message="m", stage="run"),
    "Mutation.updateRunQueueItemWarning": given(runQueueItemId=lambda world: world.item, message="m", stage="s"),
    "Mutation.deleteFromRunQueue": given(queueID=lambda world: world.queue_id, runQueueItemId=lambda world: world.item),
    "Mutation.createLaunchAgent": given(
        entityName=entity, projectName=QUEUE_PROJECT, runQueues=lambda world: [world.queue_id], hostname="h"
    ),
    "Mutation.updateLaunchAgent": given(launchAgentId=lambda world: world.agent, agentStatus="KILLED"),
    "Mutation.claimRunQueueItems": lambda world: {
        "input": {
            "launchAgentId": world.agent,
            "claimId": fresh_name("claim") if world.item else "",
            "maxItems": 5,
            "maxSchedulers": 5,
            "waitSeconds": 0,
        }
    },
    "Mutation.watchLaunchAgent": given(
        launchAgentId=lambda world: world.agent, agentStatus="KILLED", seenStops=[], waitSeconds=0
    ),
    "Mutation.resumeLaunchAgent": given(
        launchAgentId=lambda world: world.agent if world.leased_item else "", knownItemIds=[]
    ),
    "Mutation.ackRunQueueItems": lambda world: {
        "input": {
            "acks": [{"runQueueItemId": world.leased_item, "runName": "mine"}],
            "launchAgentId": world.agent,
        }
    },
    "Mutation.reportRunQueueItems": lambda world: {
        "input": {
            "reports": [{"runQueueItemId": world.claimed_item, "sequence": 99, "status": "failed", "message": "m"}],
            "launchAgentId": world.agent,
        }
    },
    "Mutation.returnRunQueueItems": given(
        launchAgentId=lambda world: world.agent, runQueueItemIds=lambda world: [world.leased_item]
    ),
    "Mutation.stopRunQueueItem": given(runQueueItemId=lambda world: world.item),
    "Mutation.stopLaunchAgent": given(launchAgentId=lambda world: world.agent),
    # runs and sweeps
    "Query.model": lambda world: {"name": world.project, "entityName": world.entity},
    "Mutation.upsertBucket": lambda world: {
        "input": {"entityName": world.entity, "modelName": world.project, "name": world.run_name, "notes": "mine"}
    },
    "Mutation.deleteRun": given(id=lambda world: world.run),
    "Mutation.updateRunState": given(id=lambda world: world.run, state="failed"),
    "Mutation.deleteFiles": given(files=lambda world: [world.run_file]),
    "Mutation.createRunFiles": lambda world: {
        "input": {
            "entityName": world.entity,
            "projectName": world.project,
            "runName": world.run_name,
            "files": ["mine"],
        }
    },
    "Mutation.stopRun": given(id=lambda world: world.run),
    "Mutation.upsertSweep": given(id=lambda world: world.sweep, state="PAUSED"),
    "Mutation.createAgent": lambda world: {
        "input": {"entityName": world.entity, "projectName": world.project, "sweep": world.sweep_name, "host": "mine"}
    },
    "Mutation.agentHeartbeat": given(id=lambda world: world.sweep_agent, runState="{}"),
    # artifacts
    "Query.artifact": lambda world: {"id": world.artifact},
    "Mutation.createArtifact": lambda world: {
        "input": {
            "entityName": world.entity,
            "projectName": world.project,
            "artifactTypeName": "code",
            "artifactCollectionName": fresh_name("collection"),
            "digest": "d",
        }
    },
    "Mutation.createArtifactManifest": given(
        artifactID=lambda world: world.artifact,
        name="m",
        digest="",
        entityName=entity,
        projectName=lambda world: world.project,
    ),
    "Mutation.createArtifactFiles": lambda world: {
        "input": {"artifactFiles": [{"artifactID": world.artifact, "name": "f", "md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}]}
    },
    "Mutation.completeMultipartUploadArtifact": lambda world: {
        "input": {**world.upload_in_parts, "completeMultipartAction": "Complete", "storagePath": ""}
    },
    "Mutation.commitArtifact": given(artifactID=lambda world: world.ready_artifact),
    "Mutation.useArtifact": given(
        entityName=entity,
        projectName=lambda world: world.project,
        runName=lambda world: world.run_name,
        artifactID=lambda world: world.committed_artifact,
    ),
    "Mutation.collectGarbage": given(),
    "Query.artifactCollection": lambda world: {"id": world.collection_id},
    "Query.clientIDMapping": lambda world: {"clientID": world.client_id if world.artifact else ""},
    "Mutation.createArtifactType": given(entityName=entity, projectName=lambda world: world.project, name="kind"),
    "Mutation.updateArtifactManifest": given(artifactManifestID=lambda world: world.manifest_id, digest=""),
    "Mutation.updateArtifact": given(artifactID=lambda world: world.committed_artifact, description="mine"),
    "Mutation.deleteArtifact": given(artifactID=lambda world: world.committed_artifact),
    "Mutation.addAliases": given(
        artifactID=lambda world: world.committed_artifact, aliases=lambda world: [in_collection(world, alias="mine")]
    ),
    "Mutation.deleteAliases": given(
        artifactID=lambda world: world.committed_artifact,
        aliases=lambda world: [in_collection(world, alias=world.alias)],
    ),
    "Mutation.updateArtifactSequence": given(artifactSequenceID=lambda world: world.collection_id, description="mine"),
    "Mutation.moveArtifactSequence": given(
        artifactSequenceID=lambda world: world.collection_id, destinationArtifactTypeName="mine"
    ),
    "Mutation.deleteArtifactSequence": given(artifactSequenceID=lambda world: world.collection_id),
    "Mutation.linkArtifact": given(
        artifactID=lambda world: world.committed_artifact,
        artifactPortfolioName="links",
        entityName=entity,
        projectName=lambda world: world.project,
    ),
    "Mutation.unlinkArtifact": given(
        artifactID=lambda world: world.committed_artifact, artifactPortfolioID=lambda world: world.portfolio_id
    ),
    "Mutation.updateArtifactPortfolio": given(artifactPortfolioID=lambda world: world.portfolio_id, description="mine"),
    "Mutation.deleteArtifactPortfolio": given(artifactPortfolioID=lambda world: world.portfolio_id),
    "Mutation.createArtifactCollectionTagAssignments": lambda world: {
        "input": in_collection(world, tags=[{"tagName": "mine"}])
    },
    "Mutation.deleteArtifactCollectionTagAssignments": lambda world: {
        "input": in_collection(world, tags=[{"tagName": "mine"}])
    },
}

SHOWN: dict[str, Callable[[World], str]] = {"Query.clientIDMapping": lambda world: world.artifact}
"""What a field shows besides `World.hidden`, of itself no part of the arguments."""

FIELDS = sorted(
    f"{kind.name}.{name}" for kind in (SCHEMA.query_type, SCHEMA.mutation_type) if kind for name in kind.fields
)

LINKS_ALONE = {
    "/storage/upload/{token}",
    "/storage/upload-part/{token}",
    "/storage/download/{token}",
    "/storage/run-upload/{token}",
    "/storage/run-download/{token}",
}
"""Routes that take no key: a signed link is the permission."""

Reach = tuple[str, Callable[[World], str], object]
"""Method, path and JSON body of a request that reaches an object of a `World`."""

ROUTES: dict[str, Reach] = {
    "/files/{entity}/{project}/{run}/file_stream": (
        "POST",
        lambda world: f"/files/{world.entity}/{world.project}/{world.run_name}/file_stream",
        {"files": {"output.log": {"offset": 0, "content": ["mine"]}}},
    ),
    "/artifactsV2/{address:path}": ("GET", lambda world: world.digest_address, None),
}
"""Every other route but `/healthz` and `/graphql`."""
