"""Objects on the server for the names and ids in recorded requests, created on demand."""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import requests

from tests.contract.server.conftest import QueueAndAgent
from tests.support.server import Api, fresh_name

#: The recorded requests and answers, by the names of their files.
CAPTURES = {path.stem: json.loads(path.read_text()) for path in sorted(Path(__file__).parent.glob("captures/*.json"))}

PROJECT = "proj1"
TYPE, FILE = "job", "f.txt"
RECORDED_QUEUE = re.compile(r"\bqlp(20|31)\b")
SWEEP = "method: grid\nparameters:\n  lr:\n    values: [0.1, 0.2]\n"


def md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


class RecordedObjects:
    """Names and ids that replace the recorded ones."""

    def __init__(self, api: Api, queue_and_agent: QueueAndAgent) -> None:
        self.api = api
        self.queue_and_agent = queue_and_agent
        self._add_template_variables()

    def _add_template_variables(self) -> None:
        defaults: dict[str, tuple[str, object]] = {"a": ("string", "x"), "mem": ("string", "1g"), "n": ("integer", 1)}
        variables = {name: {"schema": {"type": kind, "default": value}} for name, (kind, value) in defaults.items()}
        arguments = {"local-container": {"env": ["A={{a}}"], "memory": "{{mem}}"}}
        self.api.mutate(
            "upsertRunQueue",
            "success",
            entityName="me",
            projectName="model-registry",
            queueName=self.queue_and_agent.queue,
            resourceType="local-container",
            resourceConfig=json.dumps({"resource_args": arguments}),
            templateVariables=json.dumps(variables),
            prioritizationMode="V0",
        )

    # -- queues

    @cached_property
    def waiting_item(self) -> str:
        return self.api.push(self.queue_and_agent.queue, {"project": PROJECT})

    @cached_property
    def leased_item(self) -> str:
        item = self.waiting_item
        assert self.api.claim(self.queue_and_agent.agent, fresh_name("claim")) == [item]
        return item

    @cached_property
    def config(self) -> str:
        made = self.api.mutate(
            "createDefaultResourceConfig",
            "defaultResourceConfigID",
            entityName="me",
            resource="local-process",
            config='{"resource_args": {}}',
            templateVariables='{"a": {"schema": {"type": "string"}}}',
        )
        return str(made["defaultResourceConfigID"])

    # -- runs

    @cached_property
    def run(self) -> str:
        """Name of a run that a client started."""
        name = fresh_name("run")
        self.api.mutate("upsertBucket", "inserted", entityName="me", modelName=PROJECT, name=name, config="{}")
        return name

    @cached_property
    def run_id(self) -> str:
        query = "query($p: String!, $r: String!) { project(name: $p) { run(name: $r) { id } } }"
        return str(self.api.run(query, {"p": PROJECT, "r": self.run})["project"]["run"]["id"])

    # -- artifacts

    @cached_property
    def content(self) -> bytes:
        """Content of the artifact's file: unique, so that it has to be uploaded."""
        return f"content of {self.collection}".encode()

    @cached_property
    def collection(self) -> str:
        return fresh_name("code")

    @cached_property
    def new_artifact(self) -> str:
        """Id of a created artifact without files."""
        made = self.api.mutate(
            "createArtifact",
            "artifact { id }",
            entityName="me",
            projectName=PROJECT,
            artifactTypeName=TYPE,
            artifactCollectionName=self.collection,
            digest="d",
            aliases=[{"artifactCollectionName": self.collection, "alias": "latest"}],
        )
        return str(made["artifact"]["id"])

    @cached_property
    def pending_artifact(self) -> str:
        """Id of an artifact whose file and manifest have arrived, before its commit."""
        put(self.link_to_file(FILE, self.content), self.content)
        contents = {
            FILE: {"digest": md5(self.content), "size": len(self.content), "birthArtifactID": self.new_artifact}
        }
        manifest = json.dumps({"version": 1, "contents": contents}).encode()
        put(self.link_to_manifest(manifest), manifest)
        return self.new_artifact

    @cached_property
    def artifact(self) -> str:
        """Id of a committed artifact with one file."""
        self.api.mutate("commitArtifact", "artifact { id }", artifactID=self.pending_artifact)
        return self.pending_artifact

    def link_to_file(self, name: str, content: bytes) -> str:
        """Return where a file of the new artifact is uploaded."""
        spec = {"artifactID": self.new_artifact, "name": name, "md5": md5(content)}
        selection = "files { edges { node { uploadUrl } } }"
        files = self.api.mutate("createArtifactFiles", selection, artifactFiles=[spec], storageLayout="V2")["files"]
        return str(files["edges"][0]["node"]["uploadUrl"])

    def link_to_manifest(self, content: bytes) -> str:
        """Return where the manifest of the new artifact is uploaded."""
        made = self.api.mutate(
            "createArtifactManifest",
            "artifactManifest { file { uploadUrl } }",
            artifactID=self.new_artifact,
            name="wandb_manifest.json",
            digest=md5(content),
            entityName="me",
            projectName=PROJECT,
        )
        return str(made["artifactManifest"]["file"]["uploadUrl"])

    # -- sweeps

    @cached_property
    def sweep(self) -> str:
        return str(self._made_sweep["name"])

    @cached_property
    def sweep_id(self) -> str:
        return str(self._made_sweep["id"])

    @cached_property
    def sweep_agent(self) -> str:
        made = self.api.mutate(
            "createAgent", "agent { id }", host="host1", projectName=PROJECT, entityName="me", sweep=self.sweep
        )
        return str(made["agent"]["id"])

    @cached_property
    def _made_sweep(self) -> dict[str, Any]:
        made = self.api.mutate(
            "upsertSweep", "sweep { id name }", config=SWEEP, entityName="me", projectName=PROJECT, state="PENDING"
        )
        sweep: dict[str, Any] = made["sweep"]
        return sweep


def put(url: str, content: bytes, headers: Mapping[str, str] | None = None) -> None:
    """Upload ``content`` as a client does: to the link as it is, with no key."""
    answer = requests.put(url, content, headers=headers, timeout=20)
    assert answer.status_code == 200, answer.text


Name = Callable[[RecordedObjects], object]


def _project(_: RecordedObjects) -> str:
    return PROJECT


def _new_queue(_: RecordedObjects) -> str:
    return fresh_name("new")


def _run(objects: RecordedObjects) -> str:
    return objects.run


def _run_id(objects: RecordedObjects) -> str:
    return objects.run_id


def _artifact(objects: RecordedObjects) -> str:
    return objects.artifact


def _pending_artifact(objects: RecordedObjects) -> str:
    return objects.pending_artifact


def _reference(objects: RecordedObjects) -> str:
    assert objects.artifact
    return f"{objects.collection}:latest"


def _type(objects: RecordedObjects) -> str:
    assert objects.artifact
    return TYPE


def _collection(objects: RecordedObjects) -> str:
    assert objects.artifact
    return objects.collection


#: What stands for a variable, by its name in the recorded requests.
NAMES: dict[str, Name] = {
    **dict.fromkeys(("entity", "entityName", "artifactEntityName"), lambda _: "me"),
    **dict.fromkeys(("queueName", "runQueue", "runQueueName"), lambda objects: objects.queue_and_agent.queue),
    **dict.fromkeys(("agentId", "launchAgentId"), lambda objects: objects.queue_and_agent.agent),
    **dict.fromkeys(("itemId", "runQueueItemId"), lambda objects: objects.leased_item),
    **dict.fromkeys(("run", "runName", "runId"), _run),
    **dict.fromkeys(("artifactName", "collection"), _collection),
    "queueID": lambda objects: objects.queue_and_agent.queue_id,
    "queues": lambda objects: [objects.queue_and_agent.queue_id],
    "defaultResourceConfigID": lambda objects: objects.config,
    "artifactID": _artifact,
    "baseArtifactID": lambda _: None,
    "sweep": lambda objects: objects.sweep,
}


#: The same for the variables of some operations, where they are something else.
NAMES_OF: tuple[tuple[tuple[str, ...], dict[str, Name]], ...] = (
    (("createRunQueue", "CreateRunQueue", "upsertRunQueue", "UpsertRunQueue"), {"queueName": _new_queue}),
    (("stopRun", "StopRun", "DeleteRun"), {"id": _run_id}),
    (("RunState", "Run", "RunInfo", "RunResumeStatus"), {"name": _run}),
    (("RunStoppedStatus", "CreateRunFiles"), {"project": _project, "projectName": _project}),
    (("ArtifactByName", "ArtifactMembershipByName", "ArtifactType"), {"name": _reference}),
    (("ArtifactByID", "ArtifactByIDShort", "ArtifactFileURLs", "FetchArtifactManifest"), {"id": _artifact}),
    (("CommitArtifact", "CreateArtifactManifest", "CreateArtifactFiles"), {"artifactID": _pending_artifact}),
    (("ArtifactOfType",), {"artifactTypeName": _type}),
    (("Heartbeat",), {"id": lambda objects: objects.sweep_agent}),
    (("UpsertSweep",), {"id": lambda objects: objects.sweep_id}),
    (("GetDefaultResourceConfig",), {"id": lambda objects: objects.config}),
    (("DeleteRunQueue",), {"id": lambda objects: objects.queue_and_agent.queue_id}),
    (("DeleteFromRunQueue",), {"runQueueItemId": lambda objects: objects.waiting_item}),
)
NAMES_IN = {operation: names for operations, names in NAMES_OF for operation in operations}


def put_in(value: Any, operation: str, objects: RecordedObjects) -> Any:
    """Return the recorded ``value`` of a variable with this server's ids and names in it; null stays null."""
    if isinstance(value, dict):
        return {key: _renamed(key, inner, operation, objects) for key, inner in value.items()}
    if isinstance(value, list):
        return [put_in(inner, operation, objects) for inner in value]
    return _inside(value, objects) if isinstance(value, str) else value


def _inside(text: str, objects: RecordedObjects) -> str:
    # JSON texts name queues and entities too.
    return RECORDED_QUEUE.sub(objects.queue_and_agent.queue, text).replace("mockuser", "me")


def _renamed(key: str, recorded: Any, operation: str, objects: RecordedObjects) -> Any:
    name = NAMES_IN.get(operation, {}).get(key) or NAMES.get(key)
    return put_in(recorded, operation, objects) if name is None or recorded is None else name(objects)
