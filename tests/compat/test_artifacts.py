"""``log_artifact`` and ``use_artifact``: the server has every file byte for byte, and who made and used what."""

import json
from typing import Any

import pytest

from tests.compat.commands import DOWNLOAD, LOG_ARTIFACT, PARTS_OF_ARTIFACT, USE_ARTIFACT, VERSIONS_OF_ARTIFACT, command
from tests.compat.names import ARTIFACT, ARTIFACTS
from tests.compat.wandb_env import WandbEnv
from tests.support.server import Api

CONTENTS = {"a.bin": bytes(range(256)) * 40, "deep/b c.txt": "grüße\n".encode(), "empty": b""}
REFERENCE, REFERRED_TO = "elsewhere.csv", b"a,b\n"

_ARTIFACT = """query($p: String!, $n: String!) { project(name: $p) { artifact(name: $n) {
    id state versionIndex description metadata size fileCount aliases { alias } artifactType { name }
    files(first: 100) { edges { node { name sizeBytes directUrl } } }
} } }"""


def artifact_of(api: Api, name: str) -> dict[str, Any]:
    artifact: dict[str, Any] | None = api.run(_ARTIFACT, {"p": ARTIFACTS, "n": name})["project"]["artifact"]
    assert artifact is not None
    return artifact


@command(LOG_ARTIFACT)
@pytest.mark.usefixtures("logged_artifacts")
def test_an_artifact_is_kept_byte_for_byte(api: Api, wandb_env: WandbEnv) -> None:
    artifact = artifact_of(api, f"{ARTIFACT}:v0")

    links = {edge["node"]["name"]: edge["node"]["directUrl"] for edge in artifact["files"]["edges"]}
    assert links.pop(REFERENCE).startswith("file:///")
    assert {name: wandb_env.download(link) for name, link in links.items()} == CONTENTS
    assert (artifact["state"], artifact["artifactType"]["name"]) == ("COMMITTED", "dataset")
    assert (artifact["description"], json.loads(artifact["metadata"])) == ("what it is", {"rows": 7})
    assert artifact["size"] == sum(map(len, (REFERRED_TO, *CONTENTS.values())))
    assert artifact["fileCount"] == len(CONTENTS) + 1


@command(VERSIONS_OF_ARTIFACT)
def test_versions_and_aliases_are_kept(logged_artifacts: dict[str, Any], api: Api) -> None:
    assert logged_artifacts["versions"] == ["v0", "v0", "v1"]

    aliases = {
        version: {alias["alias"] for alias in artifact_of(api, f"{ARTIFACT}:{version}")["aliases"]}
        for version in ("v0", "v1")
    }
    assert aliases["v0"] - {"v0"} == {"first"}
    assert aliases["v1"] - {"v1"} == {"latest", "second"}


@command(LOG_ARTIFACT)
def test_what_another_project_has_already_is_logged(logged_artifacts: dict[str, Any]) -> None:
    assert logged_artifacts["twins"] == [["v0", "v0"], ["v0", "v0"]]


@command(PARTS_OF_ARTIFACT)
def test_what_arrives_in_parts_is_whole(wandb_env: WandbEnv) -> None:
    answer = wandb_env.script("parts", project="parts")

    assert answer["references"] == ["https://example.com/data.csv"] * 2
    assert answer["first"] == {"0.txt": "first 0", "1.txt": "first 1"}
    assert answer["second"] == {"0.txt": "second 0", "1.txt": "second 1"}
    assert answer["table"] in ({"unknown": True}, {"rows": [[0], [1], [2]], "parts": 3})


@command(DOWNLOAD)
def test_a_download_is_what_was_logged(logged_artifacts: dict[str, Any]) -> None:
    found = {name: bytes.fromhex(content) for name, content in logged_artifacts["downloaded"].items()}

    assert found == {**CONTENTS, REFERENCE: REFERRED_TO}


@command(USE_ARTIFACT)
def test_the_server_knows_who_made_and_who_used_an_artifact(logged_artifacts: dict[str, Any], api: Api) -> None:
    assert logged_artifacts["used"] == "v0"
    query = """query($p: String!, $n: String!) { project(name: $p) { artifact(name: $n) {
        createdBy { ... on Run { name } } usedBy { edges { node { name } } } } } }"""

    artifact = api.run(query, {"p": ARTIFACTS, "n": f"{ARTIFACT}:first"})["project"]["artifact"]

    assert artifact["createdBy"] == {"name": logged_artifacts["producer"]}
    assert [edge["node"]["name"] for edge in artifact["usedBy"]["edges"]] == [logged_artifacts["consumer"]]
