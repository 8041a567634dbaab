"""Operations of the launchd protocol, which launchd's own server alone has."""

from launchd.client.models.agents import Agent, AgentCommands, Resumed
from launchd.client.models.items import Claim, Item, ItemReasons
from launchd.client.models.retention import CollectedGarbage, Retention
from launchd.client.operations.launch import AGENT_FIELDS
from launchd.client.operations.operation import IN_PROJECT, PROJECT, Root, launchd_mutation, query
from launchd.client.responses import (
    AccountKind,
    CreatedAgent,
    ItemResults,
    ProjectFields,
    ProjectQueueDetails,
    StoppedAgent,
    StopResult,
    Success,
)

_AGENT_FIELDS = f"{AGENT_FIELDS} createdAt version secondsSinceHeartbeat entityName queueNames"
_HELD_ITEM_FIELDS = "id state associatedRunId queueName entityName runSpec startedAt status phase"
_QUEUE_FIELDS = (
    "id name access prioritizationMode resourceType resourceConfig entityName pendingCount claimedCount createdAt"
)
_QUEUE_FIELDS_WITH_PAUSE = f"{_QUEUE_FIELDS} pausedAt pausedBy"
_ITEM_FIELDS = (
    "id state associatedRunId queueName entityName priority runSpec createdAt leasedAt startedAt finishedAt"
    " launchAgentId status phase message stage exitCode warnings { message stage createdAt } stopRequested stopReason"
)

_HELD_FIELDS = "runQueueItemId lease queueName runName"
_RESULT_FIELDS = "runQueueItemId answer message"

AGENT: Root[Agent | None] = query(
    "LaunchAgent", "$id: ID!", f"launchAgent(id: $id) {{ {_AGENT_FIELDS} }}", Agent | None
)

AGENTS_WITH_ITEMS: Root[list[Agent]] = query(
    "LaunchAgents",
    "$entity: String!",
    f"launchAgents(entityName: $entity) {{ {_AGENT_FIELDS} heldItems(first: 20) {{ {_HELD_ITEM_FIELDS} }} }}",
    list[Agent],
)

VIEWER_KIND: Root[AccountKind | None] = query("ViewerKind", "", "viewer { isServiceAccount }", AccountKind | None)

AGENTS: Root[list[Agent]] = query(
    "LaunchAgents", "$entity: String!", f"launchAgents(entityName: $entity) {{ {_AGENT_FIELDS} }}", list[Agent]
)

QUEUES: Root[ProjectQueueDetails | None] = query(
    "RunQueueDetails", PROJECT, f"{IN_PROJECT} {{ runQueues {{ {_QUEUE_FIELDS} }} }}", ProjectQueueDetails | None
)

QUEUE: Root[ProjectQueueDetails | None] = query(
    "RunQueueDetail",
    f"{PROJECT}, $queue: String!",
    f"{IN_PROJECT} {{ runQueue(name: $queue) {{ {_QUEUE_FIELDS} }} }}",
    ProjectQueueDetails | None,
)

QUEUES_WITH_PAUSES: Root[ProjectQueueDetails | None] = query(
    "RunQueueDetails",
    PROJECT,
    f"{IN_PROJECT} {{ runQueues {{ {_QUEUE_FIELDS_WITH_PAUSE} }} }}",
    ProjectQueueDetails | None,
)

QUEUE_WITH_PAUSE: Root[ProjectQueueDetails | None] = query(
    "RunQueueDetail",
    f"{PROJECT}, $queue: String!",
    f"{IN_PROJECT} {{ runQueue(name: $queue) {{ {_QUEUE_FIELDS_WITH_PAUSE} }} }}",
    ProjectQueueDetails | None,
)

ITEM: Root[Item | None] = query(
    "LaunchRunQueueItem", "$id: ID!", f"launchRunQueueItem(id: $id) {{ {_ITEM_FIELDS} }}", Item | None
)

FIND_ITEMS: Root[list[Item]] = query(
    "FindRunQueueItems", "$word: String!", f"findRunQueueItems(word: $word) {{ {_ITEM_FIELDS} gpus }}", list[Item]
)

QUEUE_ITEMS: Root[ProjectFields | None] = query(
    "RunQueueItemDetails",
    f"{PROJECT}, $queue: String!, $limit: Int",
    f"{IN_PROJECT} {{ runQueue(name: $queue) {{ id runQueueItems(first: $limit)"
    f" {{ edges {{ node {{ {_ITEM_FIELDS} }} }} }} }} }}",
    ProjectFields | None,
)

QUEUE_ITEMS_WITH_GPUS: Root[ProjectFields | None] = query(
    "RunQueueItemDetails",
    f"{PROJECT}, $queue: String!, $limit: Int",
    f"{IN_PROJECT} {{ runQueue(name: $queue) {{ id runQueueItems(first: $limit)"
    f" {{ edges {{ node {{ {_ITEM_FIELDS} gpus fitsNoAgent }} }} }} }} }}",
    ProjectFields | None,
)

WHY: Root[ItemReasons | None] = query(
    "WhyRunQueueItem",
    "$id: ID!",
    "launchRunQueueItem(id: $id) { id queueName state why { code sentence } }",
    ItemReasons | None,
)

CREATE_AGENT: Root[CreatedAgent] = launchd_mutation("createLaunchAgent", "launchAgentId", CreatedAgent)
UPDATE_AGENT: Root[Success] = launchd_mutation("updateLaunchAgent", "success", Success)
CLAIM: Root[Claim] = launchd_mutation(
    "claimRunQueueItems", "items { runQueueItemId queueName runSpec lease } stopPolling", Claim
)
WATCH: Root[AgentCommands] = launchd_mutation(
    "watchLaunchAgent",
    f"stopPolling stops {{ runQueueItemId reason }} unknownToAgent {{ {_HELD_FIELDS} }} mustResume",
    AgentCommands,
)
WATCH_OUTPUTS: Root[AgentCommands] = launchd_mutation(
    "watchLaunchAgent",
    f"stopPolling stops {{ runQueueItemId reason }} unknownToAgent {{ {_HELD_FIELDS} }} mustResume outputs",
    AgentCommands,
)
RESUME: Root[Resumed] = launchd_mutation(
    "resumeLaunchAgent", f"returned unknownToAgent {{ {_HELD_FIELDS} }} results {{ {_RESULT_FIELDS} }}", Resumed
)
ACK_MANY: Root[ItemResults] = launchd_mutation("ackRunQueueItems", f"results {{ {_RESULT_FIELDS} }}", ItemResults)
REPORT_MANY: Root[ItemResults] = launchd_mutation("reportRunQueueItems", f"results {{ {_RESULT_FIELDS} }}", ItemResults)
RETURN_ITEMS: Root[object] = launchd_mutation("returnRunQueueItems", "returned", object)
REPORT_GPUS: Root[Success] = launchd_mutation("reportGpus", "success", Success)
STOP_ITEM: Root[StopResult] = launchd_mutation("stopRunQueueItem", "success message", StopResult)
SET_JOBS_MAY_PUSH: Root[Success] = launchd_mutation("setJobsMayPush", "success", Success)
SET_QUEUE_PAUSED: Root[Success] = launchd_mutation("setRunQueuePaused", "success", Success)
SET_PRIORITY: Root[Success] = launchd_mutation("setRunQueueItemPriority", "success", Success)
MOVE_ITEM: Root[Success] = launchd_mutation("moveRunQueueItem", "success", Success)
STOP_AGENT: Root[Success] = launchd_mutation("stopLaunchAgent", "success", Success)
STOP_AGENT_AND_ITEMS: Root[StoppedAgent] = launchd_mutation("stopLaunchAgent", "success stopped", StoppedAgent)
UNDRAIN_AGENT: Root[Success] = launchd_mutation("undrainLaunchAgent", "success", Success)
APPLY_RETENTION: Root[Retention] = launchd_mutation(
    "applyRetention", "runs { entityProject name endedAt bytes reason filesOnly } count bytes", Retention
)
COLLECT_GARBAGE: Root[CollectedGarbage] = launchd_mutation(
    "collectGarbage", "removedFiles removedBytes usedBytes", CollectedGarbage
)
