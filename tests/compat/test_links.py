"""``link_artifact`` and what belongs to it: versions in portfolios of this and of another project."""

from typing import Any

import pytest

from tests.compat.commands import LINK_ARTIFACT, READ_LINKS, command
from tests.compat.kept import AnswerOf

PROJECT, OTHER = "links", "links-elsewhere"


@pytest.fixture
def links(answer_of: AnswerOf) -> dict[str, Any]:
    return answer_of("links", project=PROJECT, other=OTHER)


@command(LINK_ARTIFACT)
def test_a_version_is_linked_and_used_from_there(links: dict[str, Any]) -> None:
    of_second = [f"me/{PROJECT}/links:v0", "v0", ["latest", "prod"], True, "source:v1"]

    assert links["linked"] == [
        of_second,
        [f"me/{OTHER}/links:v0", "v0", ["elsewhere", "latest"], True, "source:v0"],
        [f"me/{PROJECT}/links:v1", "v1", ["latest"], True, "source:v0"],
        ["me/model-registry/registered:v0", "v0", ["best", "latest"], True, "model:v0"],
    ]
    assert links["used"] == [f"me/{PROJECT}/links:prod", "v0", ["prod"], True, "source:v1"]
    assert links["content"] == "second"
    assert "This server has no registries of organizations: link the artifact to a collection" in links["refused"]


@command(READ_LINKS)
def test_links_are_read_changed_and_undone(links: dict[str, Any]) -> None:
    assert links["links"] == [f"me/{OTHER}/links:v0", f"me/{PROJECT}/links:v1"]
    assert links["source"] == f"me/{PROJECT}/source:v0"
    assert links["is_sequence"] is False
    assert links["versions"] == [["links:v1", ["latest"]], ["links:v0", ["prod"]]]
    assert links["collections"] == ["links", "source"]
    assert (links["kept"], links["description"], links["left"]) == ("v0", "what is good", ["links:v1"])
    assert (links["gone"], links["stays"]) == (True, "COMMITTED")
