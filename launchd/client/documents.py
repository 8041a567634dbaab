"""The GraphQL documents we send, each with the type its answer is decoded into.

Owns the texts. Root fields carry the alias `result`, so that one generic shape reads nearly all answers. It does no
I/O. The first part is W&B's: fields and arguments as its clients send them. The second part is native to our server;
there every mutation takes one `$input`, whose type is named after the mutation.
"""

from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import msgspec

from launchd.client.answers import (
    Answer,
    ArtifactFiles,
    CreatedAgent,
    CreatedArtifact,
    CreatedConfig,
    CreatedFiles,
    CreatedManifest,
    CreatedQueue,
    EntityFields,
    Introspection,
    ItemResults,
    PoppedItem,
    ProjectFields,
    ProjectQueueDetails,
    PushedItem,
    Result,
    Returned,
    Success,
    ViewerFields,
)
from launchd.client.models import Agent, Claim, Item, Orders

T = TypeVar("T")


class Operation(Generic[T]):
    """One document: its name, its text, and (made when first needed) the decoder of its answer."""

    __slots__ = ("_answer", "_decoder", "name", "text")

    def __init__(self, name: str, text: str, shape: Any) -> None:
        self.name = name
        self.text = text
        self._answer: Any = Answer[shape]
        self._decoder: msgspec.json.Decoder[Answer[T]] | None = None

    def decode(self, body: bytes) -> Answer[T]:
        """Read an answer. Raises `msgspec.DecodeError`, or its child `ValidationError`, for anything else."""
        if self._decoder is None:
            self._decoder = msgspec.json.Decoder(self._answer)
        return self._decoder.decode(body)


Root = Operation[Result[T]]


def _query(name: str, parameters: str, root: str, shape: Any) -> Operation[Any]:
    declared = f"({parameters})" if parameters else ""
    return Operation(name, f"query {name}{declared} {{ result: {root} }}", Result[shape])


def _mutation(name: str, parameters: str, root: str, shape: Any) -> Operation[Any]:
    return Operation(name, f"mutation {name}({parameters}) {{ result: {root} }}", Result[shape])


def _native(field: str, selection: str, shape: Any) -> Operation[Any]:
    name = field[0].upper() + field[1:]
    return _mutation(name, f"$input: {name}Input!", f"{field}(input: $input) {{ {selection} }}", shape)


# W&B's operations: who we are, and what the server can do.

CAPABILITIES: Operation[Introspection] = Operation(
    "Capabilities",
    """query Capabilities {
  mutation: __type(name: "Mutation") { fields { name } }
  create_agent: __type(name: "CreateLaunchAgentInput") { inputFields { name } }
  fail_item: __type(name: "FailRunQueueItemInput") { inputFields { name } }
  push: __type(name: "PushToRunQueueByNameInput") { inputFields { name } }
}""",
    Introspection,
)

VIEWER: Root[ViewerFields | None] = _query(
    "Viewer", "", "viewer { entity username teams { edges { node { name } } } }", ViewerFields | None
)

# Queues.

_PROJECT = "$entity: String!, $project: String!"
_IN_PROJECT = "project(name: $project, entityName: $entity)"

QUEUES: Root[ProjectFields | None] = _query(
    "ProjectRunQueues", _PROJECT, f"{_IN_PROJECT} {{ runQueues {{ id name access }} }}", ProjectFields | None
)

QUEUE: Root[ProjectFields | None] = _query(
    "GetRunQueueMetadata",
    f"{_PROJECT}, $queue: String!",
    f"{_IN_PROJECT} {{ runQueue(name: $queue) {{ id access defaultResourceConfigID prioritizationMode }} }}",
    ProjectFields | None,
)

RESOURCE_CONFIG: Root[EntityFields | None] = _query(
    "GetDefaultResourceConfig",
    "$entity: String!, $id: ID!",
    "entity(name: $entity) { defaultResourceConfig(id: $id) { config resource } }",
    EntityFields | None,
)

QUEUE_ITEM: Root[ProjectFields | None] = _query(
    "GetRunQueueItem",
    f"{_PROJECT}, $queue: String!, $itemId: ID!",
    f"{_IN_PROJECT} {{ runQueue(name: $queue) {{ id runQueueItem(id: $itemId) {{ id state associatedRunId }} }} }}",
    ProjectFields | None,
)

QUEUE_ITEMS: Root[ProjectFields | None] = _query(
    "GetRunQueueItems",
    f"{_PROJECT}, $queue: String!, $limit: Int",
    f"{_IN_PROJECT} {{ runQueue(name: $queue) {{ id runQueueItems(first: $limit)"
    " { edges { node { id state associatedRunId } } } } }",
    ProjectFields | None,
)

CREATE_PROJECT: Root[Any] = _mutation(
    "CreateProject",
    "$entity: String, $project: String",
    "upsertModel(input: { entityName: $entity name: $project }) { inserted }",
    Any,
)

CREATE_RESOURCE_CONFIG: Root[CreatedConfig] = _mutation(
    "CreateDefaultResourceConfig",
    "$entity: String!, $resource: String!, $config: JSONString!, $templateVariables: JSONString",
    "createDefaultResourceConfig(input: { entityName: $entity resource: $resource config: $config"
    " templateVariables: $templateVariables }) { defaultResourceConfigID success }",
    CreatedConfig,
)

CREATE_QUEUE: Root[CreatedQueue] = _mutation(
    "CreateRunQueue",
    f"{_PROJECT}, $queue: String!, $access: RunQueueAccessType!,"
    " $prioritizationMode: RunQueuePrioritizationMode, $configId: ID",
    "createRunQueue(input: { entityName: $entity projectName: $project queueName: $queue access: $access"
    " prioritizationMode: $prioritizationMode defaultResourceConfigID: $configId }) { success queueID }",
    CreatedQueue,
)

DELETE_QUEUE: Root[Success] = _mutation(
    "DeleteRunQueue", "$id: ID!", "deleteRunQueues(input: { queueIDs: [$id] }) { success }", Success
)

# Agents.

_AGENT = "id name runQueues hostname agentStatus stopPolling"
_CREATE_AGENT = "entityName: $entity projectName: $project runQueues: $queues hostname: $hostname"

CREATE_AGENT: Root[CreatedAgent] = _mutation(
    "createLaunchAgent",
    f"{_PROJECT}, $queues: [ID!]!, $hostname: String!, $agentConfig: JSONString, $version: String",
    f"createLaunchAgent(input: {{ {_CREATE_AGENT} agentConfig: $agentConfig version: $version }}) {{ launchAgentId }}",
    CreatedAgent,
)

CREATE_AGENT_WITHOUT_CONFIG: Root[CreatedAgent] = _mutation(
    "createLaunchAgent",
    f"{_PROJECT}, $queues: [ID!]!, $hostname: String!",
    f"createLaunchAgent(input: {{ {_CREATE_AGENT} }}) {{ launchAgentId }}",
    CreatedAgent,
)

AGENT: Root[Agent | None] = _query("LaunchAgent", "$id: ID!", f"launchAgent(id: $id) {{ {_AGENT} }}", Agent | None)

UPDATE_AGENT: Root[Success] = _mutation(
    "updateLaunchAgent",
    "$id: ID!, $status: String",
    "updateLaunchAgent(input: { launchAgentId: $id agentStatus: $status }) { success }",
    Success,
)

# Items.

POP: Root[PoppedItem | None] = _mutation(
    "popFromRunQueue",
    f"{_PROJECT}, $queue: String!, $agentId: ID",
    "popFromRunQueue(input: { entityName: $entity projectName: $project queueName: $queue launchAgentId: $agentId })"
    " { runQueueItemId runSpec }",
    PoppedItem | None,
)

ACK: Root[Success] = _mutation(
    "ackRunQueueItem",
    "$itemId: ID!, $runId: String!",
    "ackRunQueueItem(input: { runQueueItemId: $itemId runName: $runId }) { success }",
    Success,
)

FAIL_ITEM: Root[Success] = _mutation(
    "failRunQueueItem",
    "$itemId: ID!, $message: String!, $stage: String!, $filePaths: [String!]",
    "failRunQueueItem(input: { runQueueItemId: $itemId message: $message stage: $stage filePaths: $filePaths })"
    " { success }",
    Success,
)

FAIL_ITEM_WITHOUT_DETAILS: Root[Success] = _mutation(
    "failRunQueueItem", "$itemId: ID!", "failRunQueueItem(input: { runQueueItemId: $itemId }) { success }", Success
)

WARN_ITEM: Root[Success] = _mutation(
    "updateRunQueueItemWarning",
    "$itemId: ID!, $message: String!, $stage: String!, $filePaths: [String!]",
    "updateRunQueueItemWarning(input: { runQueueItemId: $itemId message: $message stage: $stage"
    " filePaths: $filePaths }) { success }",
    Success,
)

DELETE_ITEM: Root[Success] = _mutation(
    "DeleteFromRunQueue",
    "$queueId: ID!, $itemId: ID!",
    "deleteFromRunQueue(input: { queueID: $queueId runQueueItemId: $itemId }) { success }",
    Success,
)


OPTIONS_OF_PUSH = {"priority": "Int", "templateVariableValues": "JSONString"}


def push(options: Iterable[str]) -> Root[PushedItem]:
    """The push, declaring only the options that are used: an older W&B server does not know them."""
    parameters = f"{_PROJECT}, $queue: String!, $runSpec: JSONString!"
    arguments = "entityName: $entity projectName: $project queueName: $queue runSpec: $runSpec"
    for option in options:
        parameters += f", ${option}: {OPTIONS_OF_PUSH[option]}"
        arguments += f" {option}: ${option}"
    root = f"pushToRunQueueByName(input: {{ {arguments} }}) {{ runQueueItemId }}"
    return _mutation("pushToRunQueueByName", parameters, root, PushedItem)


# Runs and sweeps.

RUN_STATE: Root[ProjectFields | None] = _query(
    "RunState", f"{_PROJECT}, $name: String!", f"{_IN_PROJECT} {{ run(name: $name) {{ state }} }}", ProjectFields | None
)

RUN_STOPPED: Root[ProjectFields | None] = _query(
    "RunStoppedStatus",
    f"{_PROJECT}, $name: String!",
    f"{_IN_PROJECT} {{ run(name: $name) {{ stopped }} }}",
    ProjectFields | None,
)

SWEEP_STATE: Root[ProjectFields | None] = _query(
    "GetSweepState",
    f"{_PROJECT}, $sweep: String!",
    f"{_IN_PROJECT} {{ sweep(sweepName: $sweep) {{ state }} }}",
    ProjectFields | None,
)

# Artifacts.

CREATE_ARTIFACT: Root[CreatedArtifact] = _mutation(
    "CreateArtifact",
    "$input: CreateArtifactInput!",
    "createArtifact(input: $input) { artifact { id state } }",
    CreatedArtifact,
)

CREATE_MANIFEST: Root[CreatedManifest] = _mutation(
    "CreateArtifactManifest",
    "$input: CreateArtifactManifestInput!, $includeUpload: Boolean!",
    "createArtifactManifest(input: $input) { artifactManifest { id file { id"
    " uploadUrl @include(if: $includeUpload) uploadHeaders @include(if: $includeUpload) } } }",
    CreatedManifest,
)

CREATE_FILES: Root[CreatedFiles] = _mutation(
    "CreateArtifactFiles",
    "$input: CreateArtifactFilesInput!",
    "createArtifactFiles(input: $input) { files { edges { node { uploadUrl uploadHeaders } } } }",
    CreatedFiles,
)

COMMIT_ARTIFACT: Root[CreatedArtifact] = _mutation(
    "CommitArtifact", "$id: ID!", "commitArtifact(input: { artifactID: $id }) { artifact { id } }", CreatedArtifact
)

ARTIFACT_FILES: Root[ArtifactFiles | None] = _query(
    "ArtifactFiles",
    "$id: ID!, $after: String, $first: Int",
    "artifact(id: $id) { metadata files(after: $after, first: $first)"
    " { edges { node { name directUrl digest sizeBytes } } pageInfo { hasNextPage endCursor } } }",
    ArtifactFiles | None,
)

# Native to our server.

_NATIVE_AGENT = f"{_AGENT} createdAt version secondsSinceHeartbeat entityName queueNames"
_NATIVE_QUEUE = (
    "id name access prioritizationMode resourceType resourceConfig entityName pendingCount claimedCount createdAt"
)
_NATIVE_ITEM = (
    "id state associatedRunId queueName entityName priority runSpec createdAt leasedAt startedAt finishedAt"
    " launchAgentId status phase message stage exitCode warnings { message stage createdAt } stopRequested stopReason"
)

NATIVE_AGENT: Root[Agent | None] = _query(
    "LaunchAgent", "$id: ID!", f"launchAgent(id: $id) {{ {_NATIVE_AGENT} }}", Agent | None
)

NATIVE_AGENTS: Root[list[Agent]] = _query(
    "LaunchAgents", "$entity: String!", f"launchAgents(entityName: $entity) {{ {_NATIVE_AGENT} }}", list[Agent]
)

NATIVE_QUEUES: Root[ProjectQueueDetails | None] = _query(
    "RunQueueDetails", _PROJECT, f"{_IN_PROJECT} {{ runQueues {{ {_NATIVE_QUEUE} }} }}", ProjectQueueDetails | None
)

NATIVE_QUEUE: Root[ProjectQueueDetails | None] = _query(
    "RunQueueDetail",
    f"{_PROJECT}, $queue: String!",
    f"{_IN_PROJECT} {{ runQueue(name: $queue) {{ {_NATIVE_QUEUE} }} }}",
    ProjectQueueDetails | None,
)

NATIVE_ITEM: Root[Item | None] = _query(
    "LaunchRunQueueItem", "$id: ID!", f"launchRunQueueItem(id: $id) {{ {_NATIVE_ITEM} }}", Item | None
)

NATIVE_QUEUE_ITEMS: Root[ProjectFields | None] = _query(
    "RunQueueItemDetails",
    f"{_PROJECT}, $queue: String!, $limit: Int",
    f"{_IN_PROJECT} {{ runQueue(name: $queue) {{ id runQueueItems(first: $limit)"
    f" {{ edges {{ node {{ {_NATIVE_ITEM} }} }} }} }} }}",
    ProjectFields | None,
)

CLAIM: Root[Claim] = _native("claimRunQueueItems", "items { runQueueItemId queueName runSpec } stopPolling", Claim)
WATCH: Root[Orders] = _native("watchLaunchAgent", "stopPolling stops { runQueueItemId reason }", Orders)
RESUME: Root[Returned] = _native("resumeLaunchAgent", "success returned", Returned)
ACK_MANY: Root[ItemResults] = _native("ackRunQueueItems", "results { runQueueItemId success }", ItemResults)
REPORT_MANY: Root[ItemResults] = _native("reportRunQueueItems", "results { runQueueItemId success }", ItemResults)
RETURN_ITEMS: Root[Returned] = _native("returnRunQueueItems", "returned", Returned)
STOP_ITEM: Root[Success] = _native("stopRunQueueItem", "success state", Success)
STOP_AGENT: Root[Success] = _native("stopLaunchAgent", "success", Success)
