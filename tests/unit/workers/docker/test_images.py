"""Names of images, their full forms, and patterns of them."""

import pytest

from ipc.errors import InvalidSpec
from workers.docker.images import parse_image

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.12", "docker.io/library/python:3.12"),
        ("me/tool:v1", "docker.io/me/tool:v1"),
        ("index.docker.io/python", "docker.io/library/python:latest"),
        ("localhost/tool", "localhost/tool:latest"),
        ("Registry.Example/tool", "Registry.Example/tool:latest"),
        ("127.0.0.1:5000/a/b:c", "127.0.0.1:5000/a/b:c"),
        ("ghcr.io/me/tool@" + DIGEST, "ghcr.io/me/tool@" + DIGEST),
        ("ghcr.io/me/tool:v1@" + DIGEST, "ghcr.io/me/tool@" + DIGEST),
        (DIGEST, DIGEST),
        # No id of an image, though the engine would take it for the beginning of one.
        ("abcdef123456", "docker.io/library/abcdef123456:latest"),
    ],
)
def test_a_name_is_given_in_full(text: str, full: str) -> None:
    assert str(parse_image(text)) == full


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-v",
        "--privileged",
        "a b",
        "Python",
        "Team/tool",
        "TEAM/tool:1",
        "a:b:c",
        "a@sha256:1",
        "a\n",
        "../a",
        "a//b",
        "/a",
        "a:",
        "x" * 600,
        "é",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidSpec, match="is no name of a container image"):
        parse_image(text)


@pytest.mark.parametrize(
    ("text", "may_be"),
    [
        ("abcdef123456", True),
        ("a" * 64, True),
        ("abcdef12345", False),
        ("abcdef123456:1", False),
        ("me/abcdef123456", False),
    ],
)
def test_what_may_have_been_meant_as_an_id(text: str, may_be: bool) -> None:
    assert parse_image(text).may_be_short_id is may_be


@pytest.mark.parametrize(
    ("pattern", "image", "matches"),
    [
        ("*", "anything:1", True),
        ("*", DIGEST, True),
        ("python", "python:3.12", True),
        ("python:3.*", "python:3.12", True),
        ("python:3.*", "python:2.7", False),
        ("python", "evil.example/library/python", False),
        ("python", "evil/python", False),
        ("team/*", "team/a:1", True),
        ("team/*", "team.evil.example/a:1", False),
        ("registry.example/team/*", "registry.example/team/a/b:1", True),
        ("registry.example/team/*", "registry.example/teams/a:1", False),
        ("registry.example/team/*", "registry.example:5000/team/a", False),
        # A tag says nothing where a digest does.
        ("python:3.12", "python:3.12@" + DIGEST, False),
        ("python", "python@" + DIGEST, True),
        ("python", DIGEST, False),
        (DIGEST, DIGEST, True),
    ],
)
def test_a_pattern_covers_what_it_says(pattern: str, image: str, matches: bool) -> None:
    assert parse_image(image).matches(pattern) == matches
