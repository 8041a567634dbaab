"""What a submitter's Dockerfile may ask of this host."""

import pytest

from ipc.errors import JobError, PolicyRefused
from ipc.policy_rules import ContainerRules
from workers.images.named_images import base_names, check_dockerfile, check_triggers

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
    "FROM python:3.11\nADD --chown=1000:1000 a@b.txt 'with space' /data/\n",
    "FROM python:3.11 AS build\nRUN true\nFROM build AS next\nCOPY --from=BUILD /a /b\nFROM next\n",
    "FROM python:3.11\nRUN build\nFROM python:3.11 AS build\nRUN true\nFROM build\n",
    "FROM ${BASE:-python:3.11}\n",
    "ARG VERSION=3.11\nFROM python:${VERSION:-3.12}\n",
    "ARG A=1 B=2\nARG VERSION=3.11\nFROM python:$VERSION\n",
    "\ufeffFROM python:3.11\n",
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
    "ARG BASE=evil:1\nFROM ${BASE:-python:3.11}\n",
    "ARG A=1 BASE=evil:1\nFROM ${BASE:-python:3.11}\n",
    "FROM ${BASE:+evil:1}\n",
    "FROM ${TARGETOS:-python:3.11}\n",
    "ARG TARGETARCH=python:3.11\nFROM $TARGETARCH\n",
    "# escape=`\nFROM evil:1\n",
    "# syntax=evil/frontend:1\nFROM python:3.11\n",
    "#syntax = docker.io/evil/frontend\nFROM python:3.11\n",
    "FROM python:3.11\nRUN cat <<EOF\nFROM python:3.11 AS evil\nEOF\nFROM evil\n",
    # What looks like a stage and is none hides no image.
    "FROM python:3.11\nRUN echo \\\nFROM python:3.11 AS evil\nFROM evil\n",
    "FROM python:3.11\r\nFROM evil:1\r\n",
    "\ufeffFROM evil:1\n",
    "\ufeff# syntax=evil/frontend:1\nFROM python:3.11\n",
    '{"syntax": "evil/frontend:1"}',
    # Quotes within an option are no part of it.
    "FROM python:3.11\nCOPY --fr\\om=evil:1 /a /b\n",
    'FROM python:3.11\nCOPY --"from"=evil:1 /a /b\n',
    'FROM python:3.11\nRUN --mount=type=bind,"from=evil:1",target=/x cat /x/a\n',
    'FROM python:3.11\nRUN --mount=type=bind,fr"om"=evil:1,target=/x cat /x/a\n',
    # A stage is one only after the line that names it.
    "FROM evil AS evil\n",
    "FROM evil\nFROM python:3.11 AS evil\n",
    "FROM python:3.11\nCOPY --from=evil /a /b\nFROM python:3.11 AS evil\n",
    "ARG BASE=python:3.11\nARG A=1 BASE=evil:1\nFROM $BASE\n",
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
    "FROM a\nADD other@127.0.0.1:team/x.git /x\n",
    "FROM a\nADD http:\\/\\/localhost/ /x\n",
    'FROM a\nADD http":"//localhost/ /x\n',
    "FROM a\nADD http:'/'/localhost/ /x\n",
    'FROM a\nADD ["http:\\u002f\\u002flocalhost/", "/x"]\n',
    'FROM a\nADD ["http:\\/\\/localhost/", "/x"]\n',
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


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("FROM a:1 AS b\nFROM b\nFROM c.example/d\n", ["docker.io/library/a:1", "c.example/d:latest"]),
        ("ARG A=a:1\nFROM ${A}\nRUN psql -c 'select x \\\n  FROM users'\n", ["docker.io/library/a:1"]),
        (
            "FROM a:1\nRUN <<EOF\nFROM it's none\nFROM may-be-one\nEOF\n",
            ["docker.io/library/a:1", "docker.io/library/may-be-one:latest"],
        ),
        ("FROM scratch\n", []),
    ],
)
def test_what_a_dockerfile_begins_from(text: str, names: list[str]) -> None:
    assert list(dict.fromkeys(base_names(text))) == names


def test_a_name_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(PolicyRefused, match="write the name out"):
        list(base_names("FROM ${A:+a:1}\n"))


def test_what_a_base_image_does_to_a_build_is_judged_too() -> None:
    triggers = ["COPY . /app", "ADD http://169.254.169.254/latest /key"]

    check_triggers("a:1", triggers[:1], ContainerRules())
    check_triggers("a:1", triggers, ContainerRules(networks=("host",)))
    with pytest.raises(
        PolicyRefused, match=r"The base image a:1 \(with ONBUILD\) has ADD http://169.254.169.254/latest"
    ):
        check_triggers("a:1", triggers, ContainerRules())
