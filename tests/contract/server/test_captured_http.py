"""The recorded HTTP requests beside GraphQL: file streams, uploads, downloads, and the probe for telemetry."""

import hashlib
import json
from typing import Any

import pytest
import requests

from tests.contract.server.conftest import QueueAndAgent
from tests.contract.server.recorded_objects import CAPTURES, FILE, PROJECT, RecordedObjects, put
from tests.support.server import Api, RunningServer


def recorded(request: str) -> Any:
    """Parametrize with every recording of a kind of request."""
    found = {name: capture for name, capture in CAPTURES.items() if capture.get("request", "").startswith(request)}
    assert found
    return pytest.mark.parametrize("capture", found.values(), ids=found)


@pytest.fixture
def objects(api: Api, queue_and_agent: QueueAndAgent) -> RecordedObjects:
    return RecordedObjects(api, queue_and_agent)


@recorded("file_stream")
def test_a_recorded_part_of_a_stream_is_accepted(
    server: RunningServer, objects: RecordedObjects, capture: dict[str, Any]
) -> None:
    url = f"{server.url}/files/me/{PROJECT}/{objects.run}/file_stream"

    answer = requests.post(
        url, json=capture["request_body"], headers=capture["headers"], auth=("api", server.key), timeout=20
    )

    assert answer.status_code == 200
    assert isinstance(answer.json(), dict)
    # Newer clients end themselves on true.
    assert answer.json().get("stopped", False) is False


@recorded("PUT-run-file")
def test_a_recorded_run_file_is_stored(objects: RecordedObjects, capture: dict[str, Any]) -> None:
    put_run_file(objects, "wandb-metadata.json", capture)


@recorded("PUT-error-log")
def test_a_recorded_error_log_is_stored(objects: RecordedObjects, capture: dict[str, Any]) -> None:
    put_run_file(objects, "UnVuUXVldWVJdGVtOjE=/error/error.log", capture)


def put_run_file(objects: RecordedObjects, name: str, capture: dict[str, Any]) -> None:
    made = objects.api.mutate(
        "createRunFiles",
        "uploadHeaders files { name uploadUrl }",
        entityName="me",
        projectName=PROJECT,
        runName=objects.run,
        files=[name],
    )
    headers = dict(header.split(":", 1) for header in made["uploadHeaders"])
    (file,) = made["files"]
    assert file["name"] == name

    put(file["uploadUrl"], capture["body"].encode(), capture["headers"] | headers)

    url = file_url(objects, name)
    assert requests.get(url, timeout=20).text == capture["body"]


def file_url(objects: RecordedObjects, name: str) -> str:
    query = """query($p: String!, $r: String!, $n: [String]) { project(name: $p) { run(name: $r) {
        files(names: $n) { edges { node { directUrl } } } } } }"""
    run = objects.api.run(query, {"p": PROJECT, "r": objects.run, "n": [name]})["project"]["run"]
    return str(run["files"]["edges"][0]["node"]["directUrl"])


@recorded("GET-manifest")
def test_a_manifest_is_had_from_its_link_alone(objects: RecordedObjects, capture: dict[str, Any]) -> None:
    query = "query($id: ID!) { artifact(id: $id) { currentManifest { file { directUrl } } } }"
    url = objects.api.run(query, {"id": objects.artifact})["artifact"]["currentManifest"]["file"]["directUrl"]

    answer = requests.get(url, headers=capture["headers"], timeout=20)

    assert answer.status_code == 200
    assert FILE in json.loads(answer.content)["contents"]


@recorded("GET-artifact-file")
def test_a_file_of_an_artifact_is_had_from_its_link_alone(objects: RecordedObjects, capture: dict[str, Any]) -> None:
    query = "query($id: ID!) { artifact(id: $id) { files { edges { node { name directUrl } } } } }"
    (edge,) = objects.api.run(query, {"id": objects.artifact})["artifact"]["files"]["edges"]

    answer = requests.get(edge["node"]["directUrl"], headers=capture["headers"], timeout=20)

    assert (answer.status_code, answer.content) == (200, objects.content)


@recorded("GET-artifactsV2-fallback")
def test_a_file_is_had_without_a_link(server: RunningServer, objects: RecordedObjects, capture: dict[str, Any]) -> None:
    digest = hashlib.md5(objects.content).hexdigest()
    # Both forms begin alike: region, entity, project, collection; the newer one names the artifact besides its birth.
    ids = [objects.artifact] * capture["path"].count("QXJ0aWZhY3Q6")
    path = "/".join(["artifactsV2", "default", "me", PROJECT, objects.collection, *ids, digest, FILE])

    answer = requests.get(f"{server.url}/{path}", headers=capture["headers"], auth=("api", server.key), timeout=20)

    assert (answer.status_code, answer.content) == (200, objects.content)
    assert requests.get(f"{server.url}/{path}", headers=capture["headers"], timeout=20).status_code == 401


@recorded("PUT-artifact")
def test_a_recorded_upload_of_an_artifact_is_stored(objects: RecordedObjects, capture: dict[str, Any]) -> None:
    content = capture["body"].encode()
    is_manifest = "manifest" in capture["request"]
    url = objects.link_to_manifest(content) if is_manifest else objects.link_to_file("wandb-job.json", content)

    put(url, content, capture["headers"])


@recorded("POST-otel-probe")
def test_telemetry_is_taken_and_not_kept(server: RunningServer, capture: dict[str, Any]) -> None:
    answer = requests.request(capture["method"], server.url + capture["path"], headers=capture["headers"], timeout=20)

    assert answer.status_code == 200
