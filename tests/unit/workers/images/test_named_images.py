"""What a submitter's Dockerfile may ask of this host."""

import pytest

from ipc.errors import JobError, PolicyRefused
from ipc.policy_rules import ContainerRules
from workers.images.named_images import check_dockerfile

SOME = ContainerRules(images=("python:*", "registry.example.com/team/*"))

GRANTED = [
    "FROM python:3.11\nRUN true\n",
    "FROM --platform=$BUILDPLATFORM python:3.11 AS build\nFROM build\nCOPY --from=build /a /b\n",
    "ARG VERSION=3.11\nFROM python:${VERSION}\n",
    "ARG BASE=registry.example.com/team/base:1\nFROM $BASE\n",
    "# a comment \\\nfrom python:3.12\n",
    "FROM \\\n  python:3.11\n",
    "# syntax=docker/dockerfile:1\nFROM python:3.11\n",
    "FROM python:3.11 AS one\nFROM scratch\nCOPY --from=0 /a /b\nCOPY --from=one /a /b\n",
    "FROM python:3.11\nRUN --mount=type=cache,target=/root/.cache pip install x\nADD data.tar /data\n",
]

REFUSED = [
    "FROM evil:1\n",
    "from evil:1\n",
    "\tFROM evil:1\n",
    "FR\\\nOM evil:1\n",
    "FROM \\\n# between\n\nevil:1\n",
    "FROM --platform=linux/amd64 evil:1 AS python\n",
    "FROM python:3.11\nCOPY --from=evil:1 /a /b\n",
    "FROM python:3.11\nCOPY --chown=1 --from=evil:1 /a /b\n",
    "FROM python:3.11\nCOPY \\\n --from=evil:1 /a /b\n",
    "FROM python:3.11\nRUN --mount=type=bind,from=evil:1,target=/x cat /x/a\n",
    "FROM python:3.11\nRUN --mount=from=evil:1,target=/x true\n",
    "FROM python:3.11\nONBUILD COPY --from=evil:1 /a /b\n",
    "ARG BASE\nFROM $BASE\n",
    "ARG BASE=python:3.11\nARG BASE=evil:1\nFROM $BASE\n",
    "ARG BASE=evil:1\nFROM $BASE\n",
    "FROM ${BASE:-evil:1}\n",
    "# escape=`\nFROM evil:1\n",
    "# syntax=evil/frontend:1\nFROM python:3.11\n",
    "#syntax = docker.io/evil/frontend\nFROM python:3.11\n",
    "FROM python:3.11\nRUN cat <<EOF\nFROM python:3.11 AS evil\nEOF\nFROM evil\n",
    # What looks like a stage and is none hides no image.
    "FROM python:3.11\nRUN echo \\\nFROM python:3.11 AS evil\nFROM evil\n",
    "FROM python:3.11\r\nFROM evil:1\r\n",
]

FETCHING = [
    "FROM a\nADD http://127.0.0.1:8080/key /key\n",
    "FROM a\nadd --checksum=sha256:1 https://169.254.169.254/latest /x\n",
    'FROM a\nADD ["http://localhost/", "/x"]\n',
    "FROM a\nADD git@127.0.0.1:team/x.git /x\n",
    "FROM a\nARG URL=http://localhost/\nADD $URL /x\n",
    "FROM a\nONBUILD ADD http://localhost/ /x\n",
    "FROM a\nAD\\\nD http://localhost/ /x\n",
    "FROM a\nADD\thttp://localhost/ /x\n",
]


@pytest.mark.parametrize("text", GRANTED)
def test_what_is_granted_passes(text: str) -> None:
    check_dockerfile(text, SOME)


@pytest.mark.parametrize("text", REFUSED)
def test_no_other_image_gets_in(text: str) -> None:
    with pytest.raises(JobError):
        check_dockerfile(text, SOME)


@pytest.mark.parametrize("text", FETCHING)
def test_the_engine_fetches_nothing_over_the_network_of_the_host(text: str) -> None:
    with pytest.raises(PolicyRefused, match="networks"):
        check_dockerfile(text, ContainerRules())


@pytest.mark.parametrize("text", FETCHING)
def test_where_the_network_of_the_host_is_granted_it_does(text: str) -> None:
    check_dockerfile(text, ContainerRules(networks=("host",)))


def test_a_refusal_names_the_image_and_the_rule() -> None:
    with pytest.raises(PolicyRefused) as refused:
        check_dockerfile("FROM evil:1", SOME)

    assert refused.value.message == (
        "In the job's Dockerfile: The image docker.io/library/evil:1 is not granted on this host, which grants:"
        " python:*, registry.example.com/team/* (launchd.policy.containers.images in launch-config.yaml)."
    )


def test_without_rules_of_images_all_are_taken() -> None:
    check_dockerfile("ARG A\nFROM $A\nRUN cat <<EOF\nEOF\n", ContainerRules())
