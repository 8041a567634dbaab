"""What is read of a Dockerfile and of the host's registries before buildah runs."""

import tomllib
from pathlib import Path

import pytest

from ipc.errors import HostError
from workers.buildah.dockerfile import base_images
from workers.buildah.registries_conf import registries_conf


def test_base_images_are_those_that_are_no_stages() -> None:
    text = """
FROM --platform=linux/amd64 r.example/a:1 AS build
RUN true
from BUILD as other
FROM ${BASE}
FROM "python:3.12"
FROM other
FROM scratch
FROM r.example/a:1
"""
    assert list(base_images(text)) == ["r.example/a:1", "python:3.12"]


def test_short_names_are_docker_hubs_and_loopback_may_be_plain(tmp_path: Path) -> None:
    given = tomllib.loads(registries_conf(["127.0.0.1:5000"], tmp_path / "none"))

    assert given["unqualified-search-registries"] == ["docker.io"]
    assert given["registry"] == [{"location": "127.0.0.1:5000", "insecure": True}]


def test_what_the_host_says_holds(tmp_path: Path) -> None:
    host = tmp_path / "registries.conf"
    host.write_text('unqualified-search-registries = ["r.example"]\n[[registry]]\nlocation = "127.0.0.1:5000"\n')
    given = tomllib.loads(registries_conf(["127.0.0.1:5000", "127.0.0.1:6000"], host))

    assert given["unqualified-search-registries"] == ["r.example"]
    assert given["registry"] == [{"location": "127.0.0.1:5000"}, {"location": "127.0.0.1:6000", "insecure": True}]


def test_a_configuration_of_the_host_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    host = tmp_path / "registries.conf"
    host.write_text("[")

    with pytest.raises(HostError, match="cannot be read"):
        registries_conf([], host)
