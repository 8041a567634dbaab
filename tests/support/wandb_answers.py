"""What a W&B server answers to agents, in the shapes that were recorded.

A second acknowledgement is refused, the success of an item is never reported, and runs and items are asked for one by
one.
"""

import json
import time
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from hashlib import md5
from typing import Any

from graphql import GraphQLError

from tests.support.wandb_state import ENTITY, StoredItem, StoredRun, WandbState

#: States of an item in which an agent may still say something of it.
IN_CARE = ("LEASED", "CLAIMED")

Given = dict[str, Any]


def answers_of(state: WandbState) -> dict[str, Callable[..., Any]]:
    """Return what answers each root field; called with the state's lock held."""
    return {name: partial(_answered, state, answer) for name, answer in ANSWERS.items()}


def _answered(state: WandbState, answer: "Answer", _info: object, **given: Any) -> Any:
    return answer(state, given.get("input", given))


# Who and where.


def _viewer(_state: WandbState, _given: Given) -> Any:
    return {"id": "viewer", "entity": ENTITY, "username": ENTITY, "flags": "{}", "teams": {"edges": []}}


def _entity(state: WandbState, given: Given) -> Any:
    name = given["name"]
    return {"id": f"entity-{name}", "name": name, "isTeam": state.is_team} if name == ENTITY else None


def _project(state: WandbState, given: Given) -> Any:
    if given["entityName"] != ENTITY:
        return None
    return {
        "runQueues": [_queue(state, name) for name in state.queues],
        "runQueue": lambda _, name: _queue(state, name) if name in state.queues else None,
        "run": lambda _, name: _run(state, name),
        "sweep": lambda _, **given: _sweep(state, given["sweepName"]),
        "artifact": lambda _, name: _named_artifact(state, name),
        "artifactCollectionMembership": lambda _, name: _membership(state, name),
    }


def _queue(state: WandbState, name: str) -> Any:
    mine = [item for item in state.items.values() if item.queue == name]
    return {
        "id": f"queue-{name}",
        "name": name,
        "createdBy": ENTITY,
        "access": "PROJECT",
        "defaultResourceConfigID": None,
        "prioritizationMode": "DISABLED",
        "runQueueItem": lambda _, **given: next((_shown(item) for item in mine if item.id == given["id"]), None),
        "runQueueItems": lambda _, first=100: {"edges": [{"node": _shown(item)} for item in mine[:first]]},
    }


def _run(state: WandbState, name: str) -> Any:
    run = state.runs.get(name)
    stopped = name in state.stopped_runs
    return {"name": name, "state": run.state if run else "pending", "stopped": stopped} if run or stopped else None


def _sweep(state: WandbState, name: str) -> Any:
    standing = state.sweeps.get(name)
    return {"id": f"sweep-{name}", "name": name, "state": standing} if standing else None


# Artifacts.


def _artifact(state: WandbState, given: Given) -> Any:
    found = state.artifacts.get(given["id"])
    if found is None:
        return None
    nodes = [
        {
            "name": name,
            "directUrl": f"{state.own_url}/storage/artifact/{found.id}/{name}",
            "digest": b64encode(md5(content, usedforsecurity=False).digest()).decode(),
            "sizeBytes": len(content),
        }
        for name, content in found.files.items()
    ]
    files = {"edges": [{"node": node} for node in nodes], "pageInfo": {"hasNextPage": False, "endCursor": ""}}
    return {
        "id": found.id,
        "state": "COMMITTED",
        "versionIndex": 0,
        "description": None,
        "metadata": "{}",
        "createdAt": "2026-11-21T00:03:36Z",
        "artifactType": {"name": found.kind},
        "artifactSequence": {"id": f"sequence-{found.name}", "name": found.name},
        "aliases": [{"alias": "latest"}, {"alias": "v0"}],
        "files": lambda _, **page: files,  # noqa: ARG005 - all are on one page
    }


def _named_artifact(state: WandbState, name: str) -> Any:
    for artifact in state.artifacts.values():
        if name in (f"{artifact.name}:latest", f"{artifact.name}:v0"):
            return _artifact(state, {"id": artifact.id})
    return None


def _membership(state: WandbState, name: str) -> Any:
    artifact = _named_artifact(state, name)
    return {"artifact": artifact} if artifact else None


# Agents.


def _create_agent(state: WandbState, _given: Given) -> Any:
    agent_id = f"agent-{len(state.statuses) + 1}"
    state.statuses[agent_id] = []
    return {"launchAgentId": agent_id}


def _agent(state: WandbState, given: Given) -> Any:
    statuses = state.statuses.get(given["id"])
    if statuses is None:
        return None
    return {
        "id": given["id"],
        "name": f"name-of-{given['id']}",
        "runQueues": [f"queue-{name}" for name in state.queues],
        "hostname": "host",
        "agentStatus": statuses[-1] if statuses else "POLLING",
        "stopPolling": state.stop_polling,
        "heartbeatAt": None,
    }


def _update_agent(state: WandbState, given: Given) -> Any:
    state.statuses[given["launchAgentId"]].append(given["agentStatus"])
    return {"success": True}


# Items.


def _pop(state: WandbState, given: Given) -> Any:
    if given["queueName"] in state.broken_queues:
        raise GraphQLError("this queue's configuration is broken")
    now = time.monotonic()
    for item in state.items.values():
        lease_over = item.state == "LEASED" and now - item.leased_at > state.lease_seconds
        if item.queue == given["queueName"] and (item.state == "PENDING" or lease_over):
            item.state, item.leased_at = "LEASED", now
            state.popped_from.append(item.queue)
            return {"runQueueItemId": item.id, "runSpec": item.run_spec}
    return None


def _ack(state: WandbState, given: Given) -> Any:
    item = state.items.get(given["runQueueItemId"])
    if item is None or item.state != "LEASED":
        return {"success": False}
    item.state, item.run_id, item.acks = "CLAIMED", given["runName"], item.acks + 1
    return {"success": True}


def _fail(state: WandbState, given: Given) -> Any:
    item = state.items.get(given["runQueueItemId"])
    if item is None or item.state not in IN_CARE:
        return {"success": item is not None and item.state == "FAILED"}
    item.state = "FAILED"
    item.failures.append((given.get("message", ""), given.get("stage", "")))
    item.file_paths = given.get("filePaths")
    return {"success": True}


def _warn(state: WandbState, given: Given) -> Any:
    item = state.items.get(given["runQueueItemId"])
    if item is not None:
        item.warnings.append((given["message"], given["stage"]))
    return {"success": item is not None}


def _push(state: WandbState, given: Given) -> Any:
    item_id = state.push(given["queueName"], **json.loads(given["runSpec"]))
    return {"runQueueItemId": item_id, "runSpec": json.dumps(state.items[item_id].run_spec)}


# Queues.


def _create_project(_state: WandbState, _given: Given) -> Any:
    return {"inserted": True}


def _create_config(_state: WandbState, _given: Given) -> Any:
    return {"success": True, "defaultResourceConfigID": "config"}


def _create_queue(state: WandbState, given: Given) -> Any:
    state.queues += (given["queueName"],)
    return {"success": True, "queueID": f"queue-{given['queueName']}"}


# Runs and sweeps.


def _upsert_run(state: WandbState, given: Given) -> Any:
    name, project = given["name"], given["modelName"]
    inserted = name not in state.runs
    run = state.runs.setdefault(name, StoredRun())
    run.state, run.job_type = "running", given.get("jobType") or run.job_type
    bucket = {
        "id": _storage_id(name, project),
        "name": name,
        "project": {"id": f"project-{project}", "name": project, "entity": {"id": "entity", "name": ENTITY}},
        "historyLineCount": 0,
    }
    return {"bucket": bucket, "inserted": inserted}


def _create_files(state: WandbState, given: Given) -> Any:
    name, project = given["runName"], given["projectName"]
    if name not in state.runs:
        raise GraphQLError(f"run {name} not found")
    place = f"{state.own_url}/storage/run/{given['entityName']}/{project}/{name}"
    files = [{"name": path, "uploadUrl": f"{place}/{path}"} for path in given["files"]]
    return {"runID": _storage_id(name, project), "uploadHeaders": ["X-Mock-Upload:yes"], "files": files}


def _upsert_sweep(state: WandbState, given: Given) -> Any:
    name = given["id"].removeprefix("sweep-")
    state.sweeps[name] = given["state"]
    return {"sweep": {"name": name}}


def _shown(item: StoredItem) -> Any:
    return {"id": item.id, "state": item.state, "associatedRunId": item.run_id}


def _storage_id(run: str, project: str) -> str:
    return b64encode(f"Run:v1:{run}:{project}:{ENTITY}".encode()).decode()


Answer = Callable[[WandbState, Given], Any]

ANSWERS: dict[str, Answer] = {
    "viewer": _viewer,
    "entity": _entity,
    "artifact": _artifact,
    "project": _project,
    "createLaunchAgent": _create_agent,
    "launchAgent": _agent,
    "updateLaunchAgent": _update_agent,
    "popFromRunQueue": _pop,
    "ackRunQueueItem": _ack,
    "failRunQueueItem": _fail,
    "updateRunQueueItemWarning": _warn,
    "pushToRunQueueByName": _push,
    "upsertModel": _create_project,
    "createDefaultResourceConfig": _create_config,
    "createRunQueue": _create_queue,
    "upsertBucket": _upsert_run,
    "createRunFiles": _create_files,
    "upsertSweep": _upsert_sweep,
}
