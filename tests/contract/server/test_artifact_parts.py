"""Artifacts whose manifest arrives in parts: of several processes, or added to an earlier version."""

import json
from typing import Any

import pytest
import requests

from tests.support.artifacts import Logging, md5_of
from tests.support.server import Api, RefusedByServer, fresh_name


class Part(Logging):
    """One process's part of an artifact."""

    def begin(self, kind: str, base: str | None = None) -> str:
        """Announce its manifest; returns the manifest's id."""
        made = self.api.mutate(
            "createArtifactManifest",
            "artifactManifest { id }",
            artifactID=self.id,
            baseArtifactID=base,
            name="wandb_manifest.part.json",
            digest="",
            entityName="me",
            projectName="proj1",
            type=kind,
        )
        return str(made["artifactManifest"]["id"])

    def say(self, manifest_id: str) -> str:
        """Announce what it has; returns the link to upload its manifest."""
        answer = self.api.mutate(
            "updateArtifactManifest",
            "artifactManifest { file { uploadUrl } }",
            artifactManifestID=manifest_id,
            digest=md5_of(self.said),
        )
        return str(answer["artifactManifest"]["file"]["uploadUrl"])

    @property
    def said(self) -> bytes:
        contents = {name: {"digest": md5_of(data), "size": len(data)} for name, data in self.files.items()}
        return json.dumps({"version": 1, "storagePolicy": "wandb-storage-policy-v1", "contents": contents}).encode()

    def log_part(self, kind: str, base: str | None = None) -> "Part":
        self.upload()
        url = self.say(self.begin(kind, base))
        assert requests.put(url, self.said, timeout=20).status_code == 200
        return self

    def contents(self) -> dict[str, bytes]:
        found: Any = self.look("files(first: 100) { edges { node { name directUrl } } }")["files"]
        links = {edge["node"]["name"]: edge["node"]["directUrl"] for edge in found["edges"]}
        return {name: requests.get(link, timeout=20).content for name, link in links.items()}

    def manifest_keys(self) -> set[str]:
        found: Any = self.look("currentManifest { file { directUrl } }")["currentManifest"]
        said = requests.get(found["file"]["directUrl"], timeout=20).json()
        assert said["storagePolicy"] == "wandb-storage-policy-v1"
        return set(said["contents"])


def test_processes_with_one_id_log_one_version(api: Api) -> None:
    name = fresh_name("shared")
    ranks = [
        Part(
            api,
            {f"{rank}": f"{rank}".encode(), "same": b"s"},
            name=name,
            distributedID="group",
            clientID=fresh_name("c"),
        )
        for rank in range(3)
    ]
    assert len({rank.id for rank in ranks}) == 1
    for rank in ranks:
        rank.log_part("PATCH")
    ranks[0].begin("PATCH")
    ranks[-1].commit()
    assert ranks[0].contents() == {"0": b"0", "1": b"1", "2": b"2", "same": b"s"}
    assert ranks[0].manifest_keys() == {"0", "1", "2", "same"}
    following = Part(api, {"new": b"n"}, name=name, distributedID="group").log_part("PATCH")
    following.commit()
    assert following.id != ranks[0].id
    assert following.contents() == {"new": b"n"}


def test_an_incremental_version_has_what_the_earlier_ones_had(api: Api) -> None:
    name = fresh_name("growing")
    versions: list[Part] = []
    for number in range(3):
        files = {f"part{number}": f"{number}".encode(), "last": f"{number}".encode()}
        base = versions[-1].id if versions else None
        versions.append(Part(api, files, name=name).log_part("INCREMENTAL", base))
        versions[-1].commit()
    assert versions[-1].contents() == {"part0": b"0", "part1": b"1", "part2": b"2", "last": b"2"}
    assert versions[0].contents() == {"part0": b"0", "last": b"0"}


def test_a_part_that_has_not_arrived_keeps_the_artifact_from_being_committed(api: Api) -> None:
    part = Part(api, {"a": b"a"})
    part.upload()
    url = part.say(part.begin("PATCH"))
    with pytest.raises(RefusedByServer, match="has not been uploaded, so it cannot be committed"):
        part.commit()
    assert requests.put(url, part.said, timeout=20).status_code == 200
    part.commit()
    assert part.contents() == {"a": b"a"}


def test_another_artifacts_manifest_is_not_changed(api: Api) -> None:
    part, other = Part(api, {"a": b"a"}), Part(api, {"b": b"b"})
    manifest_id = part.begin("PATCH")
    other.begin("PATCH")
    part.log_part("PATCH").commit()
    with pytest.raises(RefusedByServer, match="cannot be changed any more"):
        part.say(manifest_id)
