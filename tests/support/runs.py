"""A run as its client sees it: made, streaming, with files."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

import requests

from tests.support.server import REQUEST_SECONDS, Api, RefusedByServer

_names = itertools.count(1)


class ClientRun:
    """A run of project `proj` (if not another) made by `upsertBucket`."""

    def __init__(self, api: Api, name: str | None = None, project: str = "proj", **values: object) -> None:
        self.api = api
        self.project = project
        self.name = name or f"run{next(_names)}"
        self.upsert(**values)

    def upsert(self, **values: object) -> dict[str, Any]:
        """What `upsertBucket` answers; `self.id` is the storage id."""
        selection = "bucket { id name displayName config project { name entity { name } } historyLineCount } inserted"
        made: dict[str, Any] = self.api.mutate(
            "upsertBucket", selection, name=self.name, modelName=self.project, entityName="me", **values
        )
        self.id: str = made["bucket"]["id"]
        return made

    def stream(self, body: object) -> dict[str, Any]:
        """What the file stream answers; RefusedByServer where that is no success."""
        response = self.post(json.dumps(body).encode())
        answer: dict[str, Any] = response.json()
        if response.status_code != 200:
            raise RefusedByServer(response.status_code, [error["message"] for error in answer["errors"]])
        return answer

    def post(self, body: bytes, timeout: float = REQUEST_SECONDS) -> requests.Response:
        """Send a body to the file stream as it is."""
        url = f"{self.api.url}/files/me/{self.project}/{self.name}/file_stream"
        return requests.post(url, body, auth=("api", self.api.key), timeout=timeout)

    def log(self, rows: Iterable[dict[str, Any]], offset: int = 0) -> None:
        """Append lines to the history."""
        lines = [json.dumps(row) for row in rows]
        self.stream({"files": {"wandb-history.jsonl": {"offset": offset, "content": lines}}})

    def ask(self, selection: str) -> dict[str, Any]:
        """Fields of the run."""
        query = f"query($p: String, $r: String!) {{ project(name: $p) {{ run(name: $r) {{ {selection} }} }} }}"
        found: dict[str, Any] = self.api.run(query, {"p": self.project, "r": self.name})["project"]["run"]
        return found

    @property
    def state(self) -> str:
        return str(self.ask("state")["state"])

    def announce(self, *names: str) -> list[dict[str, str]]:
        """Announce files; each has a `name`, and an `uploadUrl` where it is to be put."""
        made = self.api.mutate(
            "createRunFiles",
            "runID uploadHeaders files { name uploadUrl }",
            entityName="me",
            projectName=self.project,
            runName=self.name,
            files=names,
        )
        files: list[dict[str, str]] = made["files"]
        return files

    def upload(self, name: str, content: bytes) -> None:
        """Put one file there."""
        (file,) = self.announce(name)
        assert file["name"] == name
        assert requests.put(file["uploadUrl"], content, timeout=REQUEST_SECONDS).status_code == 200
