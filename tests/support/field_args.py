"""How every root field of the schema reaches an object of a `World`: a row for each.

A field that is new needs a row here, or `tests/test_architecture.py` fails; `tests/contract/server/test_every_field.py`
does the rest. New kinds of objects get a property in `world.py`.
"""

from collections.abc import Callable
from typing import Any

from launchd.server.gql.schema import build_schema
from tests.support.server import fresh_name
from tests.support.tenant import QUEUE_PROJECT, Tenant

SCHEMA = build_schema()
Arguments = Callable[[Tenant], dict[str, Any]]


def given(**values: Callable[[Tenant], Any] | Any) -> Arguments:
    """Arguments of a mutation, all in `input`; a function gets the world."""
    return lambda tenant: {
        "input": {name: value(tenant) if callable(value) else value for name, value in values.items()}
    }


def entity(tenant: Tenant) -> str:
    return tenant.entity


def in_queue(tenant: Tenant) -> dict[str, Any]:
    return {
        "entityName": tenant.entity,
        "projectName": QUEUE_PROJECT,
        "queueName": tenant.queue if tenant.queue_id else "",
    }


def in_collection(tenant: Tenant, **more: Any) -> dict[str, Any]:
    names = {"entityName": tenant.entity, "projectName": tenant.project, "artifactCollectionName": tenant.collection}
    return names | more


ROWS: dict[str, Arguments] = {
    # accounts
    "Query.viewer": lambda _: {},
    "Query.users": lambda tenant: {"query": tenant.owner},
    "Query.serverInfo": lambda _: {},
    "Query.organization": lambda tenant: {"name": tenant.entity},
    "Query.entity": lambda tenant: {"name": tenant.entity},
    "Query.project": lambda tenant: {"name": tenant.project, "entityName": tenant.entity},
    "Query.models": lambda tenant: {"entityName": tenant.entity if tenant.project else ""},
    "Mutation.upsertModel": lambda tenant: {"input": {"entityName": tenant.entity, "name": fresh_name("project")}},
    "Mutation.createUser": lambda tenant: {"input": {"email": f"{fresh_name('new')}@{tenant.entity}"}},
    "Mutation.generateApiKey": given(username=lambda tenant: tenant.owner),
    "Mutation.deleteApiKey": given(id=lambda tenant: tenant.key_id),
    "Mutation.resetApiKeys": given(username=lambda tenant: tenant.owner),
    "Mutation.createTeam": lambda tenant: {"input": {"teamName": fresh_name("new"), "teamAdminUserName": tenant.owner}},
    "Mutation.deleteUser": given(username=lambda tenant: tenant.member),
    "Mutation.deleteTeam": given(teamName=entity),
    "Mutation.deleteServiceAccount": given(entityName=entity, username=lambda tenant: tenant.service_account),
    # An admin may take anybody into their team whose name they know.
    "Mutation.createInvite": given(entityName=entity, username="me"),
    "Mutation.deleteInvite": given(entityName=entity, id=lambda tenant: tenant.service_account_id),
    "Mutation.createServiceAccount": lambda tenant: {
        "input": {"entityName": tenant.entity, "description": "robot", "username": fresh_name("robot")}
    },
    # launch
    "Query.launchAgent": lambda tenant: {"id": tenant.agent},
    "Query.launchAgents": lambda tenant: {"entityName": tenant.entity if tenant.agent else ""},
    "Query.findRunQueueItems": lambda tenant: {"word": tenant.item},
    "Query.launchRunQueueItem": lambda tenant: {"id": tenant.item},
    "Mutation.createDefaultResourceConfig": given(entityName=entity, resource="local-process", config="{}"),
    "Mutation.createRunQueue": lambda tenant: {
        "input": in_queue(tenant)
        | {"queueName": fresh_name("new"), "access": "PROJECT", "defaultResourceConfigID": tenant.config_id}
    },
    "Mutation.upsertRunQueue": lambda tenant: {
        "input": in_queue(tenant) | {"resourceType": "local-container", "resourceConfig": "{}"}
    },
    "Mutation.deleteRunQueues": given(queueIDs=lambda tenant: [tenant.queue_id]),
    "Mutation.setJobsMayPush": given(queueId=lambda tenant: tenant.queue_id, jobsMayPush=True),
    "Mutation.setRunQueuePaused": given(queueId=lambda tenant: tenant.queue_id, paused=True),
    "Mutation.setRunQueueItemPriority": given(runQueueItemId=lambda tenant: tenant.item, priority=0),
    "Mutation.moveRunQueueItem": given(
        runQueueItemId=lambda tenant: tenant.item, queueId=lambda tenant: tenant.other_queue_id
    ),
    "Mutation.pushToRunQueueByName": lambda tenant: {"input": in_queue(tenant) | {"runSpec": "{}"}},
    "Mutation.pushToRunQueue": given(queueID=lambda tenant: tenant.queue_id, runSpec="{}"),
    "Mutation.popFromRunQueue": lambda tenant: {
        "input": (in_queue(tenant) if tenant.item else {}) | {"launchAgentId": tenant.agent}
    },
    "Mutation.ackRunQueueItem": given(runQueueItemId=lambda tenant: tenant.leased_item, runName="mine"),
    "Mutation.failRunQueueItem": given(runQueueItemId=lambda tenant: tenant.leased_item, message="m", stage="run"),
    "Mutation.updateRunQueueItemWarning": given(runQueueItemId=lambda tenant: tenant.item, message="m", stage="s"),
    "Mutation.deleteFromRunQueue": given(
        queueID=lambda tenant: tenant.queue_id, runQueueItemId=lambda tenant: tenant.item
    ),
    "Mutation.createLaunchAgent": given(
        entityName=entity, projectName=QUEUE_PROJECT, runQueues=lambda tenant: [tenant.queue_id], hostname="h"
    ),
    "Mutation.updateLaunchAgent": given(launchAgentId=lambda tenant: tenant.agent, agentStatus="KILLED"),
    "Mutation.claimRunQueueItems": lambda tenant: {
        "input": {
            "launchAgentId": tenant.agent,
            "claimId": fresh_name("claim") if tenant.item else "",
            "maxItems": 5,
            "maxSchedulers": 5,
            "waitSeconds": 0,
        }
    },
    "Mutation.reportGpus": given(
        launchAgentId=lambda tenant: tenant.agent,
        gpus={"version": 1, "kinds": [], "devices": [], "freeDevices": []},
    ),
    "Mutation.watchLaunchAgent": given(
        launchAgentId=lambda tenant: tenant.agent, agentStatus="KILLED", seenStops=[], waitSeconds=0, held=[]
    ),
    "Mutation.resumeLaunchAgent": given(
        launchAgentId=lambda tenant: tenant.agent if tenant.leased_item else "",
        knownItemIds=[],
        held=lambda tenant: [{"runQueueItemId": tenant.claimed_item, "lease": 0, "acknowledged": True}],
    ),
    "Mutation.ackRunQueueItems": lambda tenant: {
        "input": {
            "acks": [{"runQueueItemId": tenant.leased_item, "runName": "mine"}],
            "launchAgentId": tenant.agent,
        }
    },
    "Mutation.reportRunQueueItems": lambda tenant: {
        "input": {
            "reports": [{"runQueueItemId": tenant.claimed_item, "sequence": 99, "status": "failed", "message": "m"}],
            "launchAgentId": tenant.agent,
        }
    },
    "Mutation.returnRunQueueItems": given(
        launchAgentId=lambda tenant: tenant.agent, runQueueItemIds=lambda tenant: [tenant.leased_item]
    ),
    "Mutation.stopRunQueueItem": given(runQueueItemId=lambda tenant: tenant.item),
    "Mutation.undrainLaunchAgent": given(launchAgentId=lambda tenant: tenant.draining_agent),
    "Mutation.stopLaunchAgent": given(launchAgentId=lambda tenant: tenant.agent),
    # runs and sweeps
    "Query.model": lambda tenant: {"name": tenant.project, "entityName": tenant.entity},
    "Mutation.upsertBucket": lambda tenant: {
        "input": {"entityName": tenant.entity, "modelName": tenant.project, "name": tenant.run_name, "notes": "mine"}
    },
    "Mutation.deleteRun": given(id=lambda tenant: tenant.run),
    "Mutation.updateRunState": given(id=lambda tenant: tenant.run, state="failed"),
    "Mutation.deleteFiles": given(files=lambda tenant: [tenant.run_file]),
    "Mutation.createRunFiles": lambda tenant: {
        "input": {
            "entityName": tenant.entity,
            "projectName": tenant.project,
            "runName": tenant.run_name,
            "files": ["mine"],
        }
    },
    "Mutation.rewindRun": given(
        entityName=entity,
        projectName=lambda tenant: tenant.project,
        runName=lambda tenant: tenant.run_name,
        metricName="_step",
        metricValue=0,
    ),
    "Mutation.notifyScriptableRunAlert": given(
        entityName=entity,
        projectName=lambda tenant: tenant.project,
        runName=lambda tenant: tenant.run_name,
        title="t",
        text="x",
    ),
    "Query.view": lambda tenant: {"id": tenant.view},
    "Mutation.upsertView": given(id=lambda tenant: tenant.view, spec="{}"),
    "Mutation.deleteView": given(id=lambda tenant: tenant.view),
    "Mutation.stopRun": given(id=lambda tenant: tenant.run),
    "Mutation.upsertSweep": given(id=lambda tenant: tenant.sweep, state="PAUSED"),
    "Mutation.createAgent": lambda tenant: {
        "input": {
            "entityName": tenant.entity,
            "projectName": tenant.project,
            "sweep": tenant.sweep_name,
            "host": "mine",
        }
    },
    "Mutation.agentHeartbeat": given(id=lambda tenant: tenant.sweep_agent, runState="{}"),
    # artifacts
    "Query.artifact": lambda tenant: {"id": tenant.artifact},
    "Mutation.createArtifact": lambda tenant: {
        "input": {
            "entityName": tenant.entity,
            "projectName": tenant.project,
            "artifactTypeName": "code",
            "artifactCollectionName": fresh_name("collection"),
            "digest": "d",
        }
    },
    "Mutation.createArtifactManifest": given(
        artifactID=lambda tenant: tenant.artifact,
        name="m",
        digest="",
        entityName=entity,
        projectName=lambda tenant: tenant.project,
    ),
    "Mutation.createArtifactFiles": lambda tenant: {
        "input": {"artifactFiles": [{"artifactID": tenant.artifact, "name": "f", "md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}]}
    },
    "Mutation.completeMultipartUploadArtifact": lambda tenant: {
        "input": {**tenant.upload_in_parts, "completeMultipartAction": "Complete", "storagePath": ""}
    },
    "Mutation.commitArtifact": given(artifactID=lambda tenant: tenant.ready_artifact),
    "Mutation.useArtifact": given(
        entityName=entity,
        projectName=lambda tenant: tenant.project,
        runName=lambda tenant: tenant.run_name,
        artifactID=lambda tenant: tenant.committed_artifact,
    ),
    "Mutation.collectGarbage": given(),
    "Mutation.applyRetention": given(remove=True),
    "Query.artifactCollection": lambda tenant: {"id": tenant.collection_id},
    "Query.clientIDMapping": lambda tenant: {"clientID": tenant.client_id if tenant.artifact else ""},
    "Mutation.createArtifactType": given(entityName=entity, projectName=lambda tenant: tenant.project, name="kind"),
    "Mutation.updateArtifactManifest": given(artifactManifestID=lambda tenant: tenant.manifest_id, digest=""),
    "Mutation.updateArtifact": given(artifactID=lambda tenant: tenant.committed_artifact, description="mine"),
    "Mutation.deleteArtifact": given(artifactID=lambda tenant: tenant.committed_artifact),
    "Mutation.addAliases": given(
        artifactID=lambda tenant: tenant.committed_artifact,
        aliases=lambda tenant: [in_collection(tenant, alias="mine")],
    ),
    "Mutation.deleteAliases": given(
        artifactID=lambda tenant: tenant.committed_artifact,
        aliases=lambda tenant: [in_collection(tenant, alias=tenant.alias)],
    ),
    "Mutation.updateArtifactSequence": given(
        artifactSequenceID=lambda tenant: tenant.collection_id, description="mine"
    ),
    "Mutation.moveArtifactSequence": given(
        artifactSequenceID=lambda tenant: tenant.collection_id, destinationArtifactTypeName="mine"
    ),
    "Mutation.deleteArtifactSequence": given(artifactSequenceID=lambda tenant: tenant.collection_id),
    "Mutation.linkArtifact": given(
        artifactID=lambda tenant: tenant.committed_artifact,
        artifactPortfolioName="links",
        entityName=entity,
        projectName=lambda tenant: tenant.project,
    ),
    "Mutation.unlinkArtifact": given(
        artifactID=lambda tenant: tenant.committed_artifact, artifactPortfolioID=lambda tenant: tenant.portfolio_id
    ),
    "Mutation.updateArtifactPortfolio": given(
        artifactPortfolioID=lambda tenant: tenant.portfolio_id, description="mine"
    ),
    "Mutation.deleteArtifactPortfolio": given(artifactPortfolioID=lambda tenant: tenant.portfolio_id),
    "Mutation.createArtifactCollectionTagAssignments": lambda tenant: {
        "input": in_collection(tenant, tags=[{"tagName": "mine"}])
    },
    "Mutation.deleteArtifactCollectionTagAssignments": lambda tenant: {
        "input": in_collection(tenant, tags=[{"tagName": "mine"}])
    },
}

SHOWN: dict[str, Callable[[Tenant], str]] = {"Query.clientIDMapping": lambda tenant: tenant.artifact}
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

Reach = tuple[str, Callable[[Tenant], str], object]
"""Method, path and JSON body of a request that reaches an object of a `World`."""

ROUTES: dict[str, Reach] = {
    "/files/{entity}/{project}/{run}/file_stream": (
        "POST",
        lambda tenant: f"/files/{tenant.entity}/{tenant.project}/{tenant.run_name}/file_stream",
        {"files": {"output.log": {"offset": 0, "content": ["mine"]}}},
    ),
    "/launchd/outputs/{item}": ("GET", lambda tenant: f"/launchd/outputs/{tenant.leased_item}", None),
    "/launchd/outputs/{item}/pieces": (
        "POST",
        lambda tenant: f"/launchd/outputs/{tenant.leased_item}/pieces?agent={tenant.agent}&attempt=a&start=0&size=4",
        "mine",
    ),
    "/artifactsV2/{address:path}": ("GET", lambda tenant: tenant.digest_address, None),
}
"""Every other route but `/healthz` and `/graphql`."""
