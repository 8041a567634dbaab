"""Artifacts as W&B's clients log and read them, and the files that the server keeps of them."""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import requests

from tests.support.server import REQUEST_SECONDS, Api, RunningServer, fresh_name

CAPTURES = Path(__file__).parents[1] / "contract" / "server" / "captures"


def md5_of(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content).digest()).decode()


def captured(operation: str) -> str:
    """The document as wandb 0.20's core sends it."""
    body = json.loads((CAPTURES / f"{operation}__0.20.1__wandb-core.json").read_text())["request_body"]
    return str(body["query"])


class Logging:
    """One artifact on its way."""

    def __init__(self, api: Api, files: dict[str, bytes], *, name: str | None = None, **more: object) -> None:
        self.api = api
        self.files = files
        self.name = name or fresh_name("code")
        wanted = {
            "entityName": "me",
            "projectName": "proj1",
            "artifactTypeName": "code",
            "artifactCollectionName": self.name,
            "digest": hashlib.md5(repr(sorted(files.items())).encode()).hexdigest(),
            "aliases": [{"artifactCollectionName": self.name, "alias": "latest"}],
            **more,
        }
        self.made = api.run(captured("CreateArtifact"), {"input": wanted})["createArtifact"]["artifact"]
        self.id: str = self.made["id"]

    def announce(self) -> list[dict[str, object]]:
        specs = [{"artifactID": self.id, "name": name, "md5": md5_of(data)} for name, data in self.files.items()]
        answer = self.api.run(captured("CreateArtifactFiles"), {"artifactFiles": specs, "storageLayout": "V2"})
        return [edge["node"] for edge in answer["createArtifactFiles"]["files"]["edges"]]

    def upload(self) -> None:
        for node, data in zip(self.announce(), self.files.values(), strict=True):
            if node["uploadUrl"] is not None:
                assert requests.put(str(node["uploadUrl"]), data, timeout=20).status_code == 200

    def manifest(self, contents: dict[str, object] | None = None) -> None:
        said = {name: {"digest": md5_of(data), "size": len(data)} for name, data in self.files.items()}
        manifest = json.dumps({"version": 1, "contents": said if contents is None else contents}).encode()
        values = {
            "artifactID": self.id,
            "name": "wandb_manifest.json",
            "entityName": "me",
            "projectName": "proj1",
            "runName": "r",
            "manifestType": "FULL",
        }
        query = captured("CreateArtifactManifest")
        self.api.run(query, values | {"digest": "", "includeUpload": False})
        made = self.api.run(query, values | {"digest": md5_of(manifest), "includeUpload": True})
        url = made["createArtifactManifest"]["artifactManifest"]["file"]["uploadUrl"]
        assert requests.put(url, manifest, timeout=20).status_code == 200

    def commit(self, timeout: float = REQUEST_SECONDS) -> dict[str, object]:
        answer = self.api.run(captured("CommitArtifact"), {"artifactID": self.id}, timeout)
        committed: dict[str, object] = answer["commitArtifact"]["artifact"]
        return committed

    def log(self) -> "Logging":
        self.upload()
        self.manifest()
        self.commit()
        return self

    def look(self, selection: str) -> dict[str, object]:
        found: dict[str, object] = self.api.run(
            f"query($id: ID!) {{ artifact(id: $id) {{ {selection} }} }}", {"id": self.id}
        )["artifact"]
        return found


IN_PROJECT = 'project(name: "proj1", entityName: "me")'


def in_project(api: Api, selection: str, **variables: str) -> Any:
    declared = ", ".join(f"${name}: String!" for name in variables)
    parameters = f"({declared})" if declared else ""
    found = api.run(f"query{parameters} {{ {IN_PROJECT} {{ {selection} }} }}", variables)
    return found["project"]


def versions(api: Api, count: int, **more: object) -> list[Logging]:
    """Versions of one new artifact."""
    name = fresh_name("many")
    return [Logging(api, {"a": f"{name}{number}".encode()}, name=name, **more).log() for number in range(count)]


def files_of(server: RunningServer) -> set[Path]:
    kept = ("files", "run-files")
    found = {path for part in kept for path in (server.data_dir / part).rglob("*") if path.is_file()}
    return {path for path in found if path.parent.name != "locks"}


def collect(api: Api) -> Any:
    return api.mutate("collectGarbage", "removedFiles removedBytes usedBytes")


def content(size: int = 1000) -> bytes:
    return fresh_name("content").encode().ljust(size, b".")


def delete(api: Api, logged: Logging, timeout: float = REQUEST_SECONDS) -> None:
    query = "mutation($id: ID!) { deleteArtifact(input: {artifactID: $id, deleteAliases: true}) { artifact { id } } }"
    api.run(query, {"id": logged.id}, timeout)


def downloaded(logged: Logging) -> dict[str, bytes]:
    edges: Any = logged.look("files { edges { node { name directUrl } } }")["files"]
    links = {edge["node"]["name"]: edge["node"]["directUrl"] for edge in edges["edges"]}
    answers = {name: requests.get(link, timeout=20) for name, link in links.items()}
    assert all(answer.status_code == 200 for answer in answers.values())
    return {name: answer.content for name, answer in answers.items()}
