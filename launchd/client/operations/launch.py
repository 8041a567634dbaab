"""Queues, agents and items: W&B's operations, as its clients send them."""

from collections.abc import Iterable
from typing import Any

from launchd.client.models.agents import Agent
from launchd.client.operations.operation import IN_PROJECT, PROJECT, Root, mutation, query
from launchd.client.responses import (
    CreatedAgent,
    CreatedConfig,
    CreatedQueue,
    EntityFields,
    PoppedItem,
    ProjectFields,
    PushedItem,
    Success,
    UpsertedQueue,
)

# Queues.


QUEUES: Root[ProjectFields | None] = query(
    "ProjectRunQueues", PROJECT, f"{IN_PROJECT} {{ runQueues {{ id name access }} }}", ProjectFields | None
)

QUEUE: Root[ProjectFields | None] = query(
    "GetRunQueueMetadata",
    f"{PROJECT}, $queue: String!",
    f"{IN_PROJECT} {{ runQueue(name: $queue)"
    " { id access defaultResourceConfigID prioritizationMode externalLinks } }",
    ProjectFields | None,
)

RESOURCE_CONFIG: Root[EntityFields | None] = query(
    "GetDefaultResourceConfig",
    "$entity: String!, $id: ID!",
    "entity(name: $entity) { defaultResourceConfig(id: $id) { config resource templateVariables { name schema } } }",
    EntityFields | None,
)

ENTITY_IS_TEAM: Root[EntityFields | None] = query(
    "EntityIsTeam", "$entity: String!", "entity(name: $entity) { id isTeam }", EntityFields | None
)

QUEUE_ITEM: Root[ProjectFields | None] = query(
    "GetRunQueueItem",
    f"{PROJECT}, $queue: String!, $itemId: ID!",
    f"{IN_PROJECT} {{ runQueue(name: $queue) {{ id runQueueItem(id: $itemId) {{ id state associatedRunId }} }} }}",
    ProjectFields | None,
)

QUEUE_ITEMS: Root[ProjectFields | None] = query(
    "GetRunQueueItems",
    f"{PROJECT}, $queue: String!, $limit: Int",
    f"{IN_PROJECT} {{ runQueue(name: $queue) {{ id runQueueItems(first: $limit)"
    " { edges { node { id state associatedRunId } } } } }",
    ProjectFields | None,
)

CREATE_PROJECT: Root[Any] = mutation(
    "CreateProject",
    "$entity: String, $project: String",
    "upsertModel(input: { entityName: $entity name: $project }) { inserted }",
    Any,
)

CREATE_RESOURCE_CONFIG: Root[CreatedConfig] = mutation(
    "CreateDefaultResourceConfig",
    "$entity: String!, $resource: String!, $config: JSONString!, $templateVariables: JSONString",
    "createDefaultResourceConfig(input: { entityName: $entity resource: $resource config: $config"
    " templateVariables: $templateVariables }) { defaultResourceConfigID success }",
    CreatedConfig,
)

CREATE_QUEUE: Root[CreatedQueue] = mutation(
    "CreateRunQueue",
    f"{PROJECT}, $queue: String!, $access: RunQueueAccessType!,"
    " $prioritizationMode: RunQueuePrioritizationMode, $configId: ID",
    "createRunQueue(input: { entityName: $entity projectName: $project queueName: $queue access: $access"
    " prioritizationMode: $prioritizationMode defaultResourceConfigID: $configId }) { success queueID }",
    CreatedQueue,
)

UPSERT_QUEUE: Root[UpsertedQueue] = mutation(
    "UpsertRunQueue",
    f"{PROJECT}, $queue: String!, $resource: String!, $config: JSONString!, $templateVariables: JSONString,"
    " $prioritizationMode: RunQueuePrioritizationMode, $externalLinks: JSONString",
    "upsertRunQueue(input: { entityName: $entity projectName: $project queueName: $queue resourceType: $resource"
    " resourceConfig: $config templateVariables: $templateVariables prioritizationMode: $prioritizationMode"
    " externalLinks: $externalLinks }) { success configSchemaValidationErrors }",
    UpsertedQueue,
)

CREATE_QUEUE_WITHOUT_CONFIG: Root[CreatedQueue] = mutation(
    "CreateRunQueue",
    f"{PROJECT}, $queue: String!, $access: RunQueueAccessType!",
    "createRunQueue(input: { entityName: $entity projectName: $project queueName: $queue access: $access })"
    " { success queueID }",
    CreatedQueue,
)

DELETE_QUEUE: Root[Success] = mutation(
    "DeleteRunQueue", "$id: ID!", "deleteRunQueues(input: { queueIDs: [$id] }) { success }", Success
)

# Agents.

AGENT_FIELDS = "id name runQueues hostname agentStatus stopPolling"
_CREATE_AGENT = "entityName: $entity projectName: $project runQueues: $queues hostname: $hostname"

CREATE_AGENT: Root[CreatedAgent] = mutation(
    "createLaunchAgent",
    f"{PROJECT}, $queues: [ID!]!, $hostname: String!, $agentConfig: JSONString, $version: String",
    f"createLaunchAgent(input: {{ {_CREATE_AGENT} agentConfig: $agentConfig version: $version }}) {{ launchAgentId }}",
    CreatedAgent,
)

CREATE_AGENT_WITHOUT_CONFIG: Root[CreatedAgent] = mutation(
    "createLaunchAgent",
    f"{PROJECT}, $queues: [ID!]!, $hostname: String!",
    f"createLaunchAgent(input: {{ {_CREATE_AGENT} }}) {{ launchAgentId }}",
    CreatedAgent,
)

AGENT: Root[Agent | None] = query("LaunchAgent", "$id: ID!", f"launchAgent(id: $id) {{ {AGENT_FIELDS} }}", Agent | None)

UPDATE_AGENT: Root[Success] = mutation(
    "updateLaunchAgent",
    "$id: ID!, $status: String",
    "updateLaunchAgent(input: { launchAgentId: $id agentStatus: $status }) { success }",
    Success,
)

# Items.

POP: Root[PoppedItem | None] = mutation(
    "popFromRunQueue",
    f"{PROJECT}, $queue: String!, $agentId: ID",
    "popFromRunQueue(input: { entityName: $entity projectName: $project queueName: $queue launchAgentId: $agentId })"
    " { runQueueItemId runSpec }",
    PoppedItem | None,
)

ACK: Root[Success] = mutation(
    "ackRunQueueItem",
    "$itemId: ID!, $runId: String!",
    "ackRunQueueItem(input: { runQueueItemId: $itemId runName: $runId }) { success }",
    Success,
)

FAIL_ITEM: Root[Success] = mutation(
    "failRunQueueItem",
    "$itemId: ID!, $message: String!, $stage: String!, $filePaths: [String!]",
    "failRunQueueItem(input: { runQueueItemId: $itemId message: $message stage: $stage filePaths: $filePaths })"
    " { success }",
    Success,
)

FAIL_ITEM_WITHOUT_DETAILS: Root[Success] = mutation(
    "failRunQueueItem", "$itemId: ID!", "failRunQueueItem(input: { runQueueItemId: $itemId }) { success }", Success
)

WARN_ITEM: Root[Success] = mutation(
    "updateRunQueueItemWarning",
    "$itemId: ID!, $message: String!, $stage: String!, $filePaths: [String!]",
    "updateRunQueueItemWarning(input: { runQueueItemId: $itemId message: $message stage: $stage"
    " filePaths: $filePaths }) { success }",
    Success,
)

DELETE_ITEM: Root[Success] = mutation(
    "DeleteFromRunQueue",
    "$queueId: ID!, $itemId: ID!",
    "deleteFromRunQueue(input: { queueID: $queueId runQueueItemId: $itemId }) { success }",
    Success,
)


OPTIONS_OF_PUSH = {"priority": "Int", "templateVariableValues": "JSONString", "idempotencyKey": "String"}


def push(options: Iterable[str]) -> Root[PushedItem]:
    """Return the push, with only the options that are used: older W&B servers do not have all of them."""
    parameters = f"{PROJECT}, $queue: String!, $runSpec: JSONString!"
    arguments = "entityName: $entity projectName: $project queueName: $queue runSpec: $runSpec"
    for option in options:
        parameters += f", ${option}: {OPTIONS_OF_PUSH[option]}"
        arguments += f" {option}: ${option}"
    root = f"pushToRunQueueByName(input: {{ {arguments} }}) {{ runQueueItemId }}"
    return mutation("pushToRunQueueByName", parameters, root, PushedItem)
