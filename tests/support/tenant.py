"""Everything that one team may have on a server, to be reached for by others.

Names and ids may travel in requests; what is in an object besides them holds `hidden`, a word that nobody learns who
may not see the object. A new kind of object gets a property here, and its arguments a row in `reaching.py`.
"""

import base64
import hashlib
import json
from functools import cached_property
from typing import Any

import requests

from tests.support.accounts import Accounts
from tests.support.server import Api, fresh_name

PROJECT = "proj"
QUEUE_PROJECT = "model-registry"


class Tenant:
    """One team with an admin, `owner`. Objects are made when they are first asked for; `build` makes all."""

    def __init__(self, accounts: Accounts) -> None:
        self.hidden = f"{fresh_name('hidden')}x"
        self.owner, self.api = accounts.user(email=f"{self.hidden}@example.org")
        self.admin = accounts.admin
        self._accounts = accounts
        self.entity = accounts.team(self.owner)
        self.queue = fresh_name("queue")

    def build(self) -> None:
        """Make everything that there is."""
        for name, attribute in vars(type(self)).items():
            if isinstance(attribute, cached_property):
                getattr(self, name)

    @cached_property
    def service_account(self) -> str:
        name = fresh_name("service")
        self.api.mutate("createServiceAccount", "user { id }", entityName=self.entity, description="d", username=name)
        return name

    @cached_property
    def member(self) -> str:
        name, _ = self._accounts.member(self.entity, "MEMBER")
        return name

    @cached_property
    def service_account_id(self) -> str:
        self.service_account  # noqa: B018 - there must be one
        find = "query($e: String) { entity(name: $e) { members { id username } } }"
        members = self.api.run(find, {"e": self.entity})["entity"]["members"]
        return str(next(member["id"] for member in members if member["username"] == self.service_account))

    @cached_property
    def key_id(self) -> str:
        made = self.api.mutate("generateApiKey", "apiKey { id }", description=self.hidden)
        return str(made["apiKey"]["id"])

    @cached_property
    def view(self) -> str:
        values = {"entityName": self.entity, "projectName": self.project, "spec": self.hidden, "name": self.hidden}
        return str(self.api.mutate("upsertView", "view { id }", **values)["view"]["id"])

    @cached_property
    def project(self) -> str:
        values = {"entityName": self.entity, "description": self.hidden}
        self.api.mutate("upsertModel", "inserted", name=PROJECT, **values)
        return PROJECT

    @cached_property
    def queue_id(self) -> str:
        config = {"resource_args": {"local-process": {"env": {"HIDDEN": self.hidden}}}}
        return self.api.create_queue(self.queue, entity=self.entity, config=config)

    @property
    def queue_name(self) -> str:
        """Name of the queue, which is there from then on."""
        self.queue_id  # noqa: B018 - makes it
        return self.queue

    @cached_property
    def other_queue_id(self) -> str:
        """Of a queue for the same resource, with nothing in it."""
        return self.api.create_queue(f"{self.queue}-other", entity=self.entity)

    @cached_property
    def config_id(self) -> str:
        made = self.api.mutate(
            "createDefaultResourceConfig",
            "defaultResourceConfigID",
            entityName=self.entity,
            resource="local-process",
            config=json.dumps({"resource_args": {"local-process": {"env": {"HIDDEN": self.hidden}}}}),
        )
        return str(made["defaultResourceConfigID"])

    @cached_property
    def agent(self) -> str:
        made = self.api.mutate(
            "createLaunchAgent",
            "launchAgentId",
            entityName=self.entity,
            projectName=QUEUE_PROJECT,
            runQueues=[self.queue_id],
            hostname=self.hidden,
        )
        return str(made["launchAgentId"])

    @cached_property
    def draining_agent(self) -> str:
        """An agent that was asked to leave."""
        agent = self.api.create_agent(self.queue_id, entity=self.entity, hostname=self.hidden)
        self.api.mutate("stopLaunchAgent", "success", launchAgentId=agent)
        return agent

    @cached_property
    def run_name(self) -> str:
        """Of the run of an item that the agent has acknowledged."""
        item = self._push()
        assert self.api.claim(self.agent, fresh_name("claim")) == [item]
        assert self.api.ack(self.agent, item, run=f"run-{item}") == [True]
        return f"run-{item}"

    @cached_property
    def claimed_item(self) -> str:
        return self.run_name.removeprefix("run-")

    @cached_property
    def logged_run(self) -> str:
        """Name of that run, which has logged all kinds of things from then on, and used an artifact."""
        lines = {
            "offset": 0,
            "content": [json.dumps({"_step": step, "loss": step, "x": self.hidden}) for step in (0, 1)],
        }
        console = {"offset": 0, "content": [f"2026-01-01T00:00:00 {self.hidden}\n"] * 2}
        streams = {"wandb-history.jsonl": lines, "wandb-events.jsonl": lines, "output.log": console}
        where = f"{self.api.url}/files/{self.entity}/{self.project}/{self.run_name}/file_stream"
        assert requests.post(where, json={"files": streams}, auth=("api", self.api.key), timeout=60).ok
        names = {"entityName": self.entity, "projectName": self.project, "runName": self.run_name}
        self.api.mutate("useArtifact", "artifact { id }", **names, artifactID=self.committed_artifact)
        self.api.mutate("notifyScriptableRunAlert", "success", **names, title=self.hidden, text=self.hidden)
        self.run_file  # noqa: B018 - makes it
        return self.run_name

    @cached_property
    def run(self) -> str:
        """Id of the run."""
        return base64.b64encode(f"Run:v1:{self.run_name}:{PROJECT}:{self.entity}".encode()).decode()

    @cached_property
    def run_file(self) -> str:
        """Id of a file of the run."""
        where = {"entityName": self.entity, "projectName": self.project, "runName": self.run_name}
        made = self.api.mutate("createRunFiles", "files { uploadUrl }", **where, files=["log.txt"])
        assert requests.put(made["files"][0]["uploadUrl"], self.hidden.encode(), timeout=60).ok
        find = """query($e: String!, $p: String!, $r: String!) {
            project(name: $p, entityName: $e) { run(name: $r) { files { edges { node { id } } } } } }"""
        found = self.api.run(find, {"e": self.entity, "p": self.project, "r": self.run_name})
        return str(found["project"]["run"]["files"]["edges"][0]["node"]["id"])

    @cached_property
    def sweep_name(self) -> str:
        config = f"method: random\nname: {self.hidden}\nparameters: {{x: {{min: 0.0, max: 1.0}}}}"
        where = {"entityName": self.entity, "projectName": self.project}
        made = self.api.mutate("upsertSweep", "sweep { name }", **where, config=config, description=self.hidden)
        return str(made["sweep"]["name"])

    @cached_property
    def sweep(self) -> str:
        """Id of the sweep."""
        return base64.b64encode(f"Sweep:v1:{self.sweep_name}:{PROJECT}:{self.entity}".encode()).decode()

    @cached_property
    def sweep_agent(self) -> str:
        where = {"entityName": self.entity, "projectName": self.project, "sweep": self.sweep_name}
        made = self.api.mutate("createAgent", "agent { id name }", **where, host=self.hidden)
        self._sweep_agent_name = str(made["agent"]["name"])
        return str(made["agent"]["id"])

    @property
    def sweep_agent_name(self) -> str:
        """Name of the agent, which is there from then on."""
        self.sweep_agent  # noqa: B018 - makes it
        return self._sweep_agent_name

    @cached_property
    def claim(self) -> str:
        return fresh_name("claim")

    @cached_property
    def leased_item(self) -> str:
        self.claimed_item  # noqa: B018 - made before, or it would be leased in place of this one
        item = self._push()
        assert self.api.claim(self.agent, self.claim) == [item]
        return item

    @cached_property
    def item(self) -> str:
        """An item that waits."""
        self.leased_item  # noqa: B018 - as above
        return self._push()

    def _push(self) -> str:
        self.queue_id  # noqa: B018 - there must be a queue
        spec = {"project": self.project, "entity": self.entity, "name": self.hidden}
        return self.api.push(self.queue, spec, entity=self.entity)

    @cached_property
    def client_id(self) -> str:
        """What the client called `artifact` before the server gave it an id."""
        return fresh_name("client")

    @cached_property
    def collection(self) -> str:
        """Name of the collection of `artifact`, which is there from then on."""
        self.artifact  # noqa: B018 - makes it
        return self._collection

    @cached_property
    def collection_id(self) -> str:
        find = """query($p: String!, $e: String!, $c: String!) {
            project(name: $p, entityName: $e) { artifactCollection(name: $c) { id } } }"""
        found = self.api.run(find, {"p": self.project, "e": self.entity, "c": self.collection})
        return str(found["project"]["artifactCollection"]["id"])

    @cached_property
    def committed_artifact(self) -> str:
        artifact = self._with_manifest(self._artifact(self.collection, runName=self.run_name))
        self.api.mutate("commitArtifact", "artifact { id }", artifactID=artifact)
        return artifact

    @cached_property
    def alias(self) -> str:
        """Of `committed_artifact`."""
        names = {"entityName": self.entity, "projectName": self.project, "artifactCollectionName": self.collection}
        alias = {**names, "alias": "best"}
        self.api.mutate("addAliases", "success", artifactID=self.committed_artifact, aliases=[alias])
        return "best"

    @cached_property
    def portfolio_id(self) -> str:
        """A portfolio to which `committed_artifact` is linked."""
        names = {"entityName": self.entity, "projectName": self.project, "artifactPortfolioName": fresh_name("links")}
        selection = "artifactMembership { artifactCollection { id } }"
        made = self.api.mutate("linkArtifact", selection, artifactID=self.committed_artifact, **names)
        return str(made["artifactMembership"]["artifactCollection"]["id"])

    @cached_property
    def manifest_id(self) -> str:
        made = self._announce_manifest(self.artifact, "")
        return str(made["artifactManifest"]["id"])

    @cached_property
    def artifact(self) -> str:
        """An artifact whose files have not been uploaded."""
        self._collection = fresh_name("collection")
        return self._artifact(self._collection, clientID=self.client_id)

    @cached_property
    def ready_artifact(self) -> str:
        """An artifact that can be committed."""
        return self._with_manifest(self._artifact(fresh_name("collection")))

    @cached_property
    def artifact_with_file(self) -> str:
        """An artifact with a file that holds nothing but `hidden`."""
        artifact = self._artifact(fresh_name("collection"))
        spec = {"artifactID": artifact, "name": "f.txt", "md5": base64.b64encode(self._hidden_md5.digest()).decode()}
        made = self.api.mutate("createArtifactFiles", "files { edges { node { uploadUrl } } }", artifactFiles=[spec])
        assert requests.put(made["files"]["edges"][0]["node"]["uploadUrl"], self.hidden.encode(), timeout=60).ok
        return artifact

    @cached_property
    def upload_in_parts(self) -> dict[str, Any]:
        """What ends the upload of a file of an artifact, whose only part has arrived."""
        artifact, content = self._artifact(fresh_name("collection")), f"a part with {self.hidden}".encode()
        digest = hashlib.md5(content, usedforsecurity=False)
        parts = [{"partNumber": 1, "hexMD5": digest.hexdigest()}]
        spec = {"artifactID": artifact, "name": "f.txt", "md5": base64.b64encode(digest.digest()).decode()}
        selection = "uploadMultipartUrls { uploadID uploadUrlParts { uploadUrl } }"
        made = self.api.mutate(
            "createArtifactFiles",
            f"files {{ edges {{ node {{ {selection} }} }} }}",
            artifactFiles=[{**spec, "uploadPartsInput": parts}],
        )
        upload = made["files"]["edges"][0]["node"]["uploadMultipartUrls"]
        assert requests.put(upload["uploadUrlParts"][0]["uploadUrl"], content, timeout=60).ok
        return {"artifactID": artifact, "uploadID": upload["uploadID"], "completedParts": parts}

    @property
    def digest_address(self) -> str:
        """Path of that file by its digest."""
        return f"/artifactsV2/default/{self.entity}/{self.artifact_with_file}/{self._hidden_md5.hexdigest()}"

    @property
    def _hidden_md5(self) -> Any:
        return hashlib.md5(self.hidden.encode(), usedforsecurity=False)

    def _with_manifest(self, artifact: str) -> str:
        manifest = json.dumps({"version": 1, "contents": {}}).encode()
        digest = base64.b64encode(hashlib.md5(manifest, usedforsecurity=False).digest()).decode()
        url = self._announce_manifest(artifact, digest)["artifactManifest"]["file"]["uploadUrl"]
        assert url is None or requests.put(url, manifest, timeout=60).ok
        return artifact

    def _announce_manifest(self, artifact: str, digest: str) -> Any:
        return self.api.mutate(
            "createArtifactManifest",
            "artifactManifest { id file { uploadUrl } }",
            artifactID=artifact,
            name="wandb_manifest.json",
            digest=digest,
            entityName=self.entity,
            projectName=self.project,
        )

    def _artifact(self, collection: str, **more: object) -> str:
        made = self.api.mutate(
            "createArtifact",
            "artifact { id }",
            entityName=self.entity,
            projectName=self.project,
            artifactTypeName="code",
            artifactCollectionName=collection,
            description=self.hidden,
            digest=self.hidden,
            **more,
        )
        return str(made["artifact"]["id"])


def call(api: Api, kind: str, field: str, arguments: dict[str, Any], types: dict[str, str], selection: str) -> str:
    """Send one root field with these arguments, whose types are given. Returns the answer as text, whatever it is."""
    declared = ", ".join(f"${name}: {types[name]}" for name in arguments)
    passed = ", ".join(f"{name}: ${name}" for name in arguments)
    head = f"{kind}({declared})" if arguments else kind
    query = f"{head} {{ {field}{f'({passed})' if arguments else ''} {selection} }}"
    response = api.post({"query": query, "variables": arguments})
    assert response.status_code < 500, response.text
    return response.text
