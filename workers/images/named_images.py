"""What a Dockerfile asks of this host beside its own files: images to start from, and files from elsewhere. Pure.

Read from the side of caution: what could be an image's name for the engine counts as one, and what cannot be told is
refused. Only a submitter's own Dockerfile is read so; one that this agent wrote names what was judged before.
"""

import re
from collections.abc import Iterator

import msgspec

from ipc.errors import PolicyRefused
from ipc.policy_rules import ContainerRules
from workers.docker.images import parse_image
from workers.docker.policy import refuse_image

_SCRATCH = "scratch"
_ANY = "*"
_HOST_NETWORK = "host"
_DIRECTIVE = re.compile(r"^\s*(?:#|//)\s*(?P<name>syntax|escape)\s*=\s*(?P<value>\S+)", re.IGNORECASE)
_OFFICIAL_SYNTAX = re.compile(r"docker/dockerfile(?::[\w.-]+)?")
_FROM_OPTION = re.compile(r"""(?:--from[=\s]+|[,=]from=)["']?(?P<image>[^\s,"']+)""", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)\}|(?P<plain>\w+))")
_IMAGE_ARGUMENT = re.compile(r"ARG\s+(?P<name>\w+)=[\"']?(?P<value>[^\s\"']*)[\"']?\s*", re.IGNORECASE)
_ELSEWHERE = re.compile(r"://|^git@|\s\"?git@|\$")


class _Dockerfile(msgspec.Struct, frozen=True):
    """``lines`` as they stand, and ``instructions``, in which continued lines are one."""

    lines: tuple[str, ...]
    instructions: tuple[str, ...]

    def candidates(self, word: str) -> Iterator[str]:
        """Yield what may be an instruction called ``word``, without that word."""
        for line in (*self.instructions, *map(_alone, self.lines)):
            found = re.match(rf"\s*(?:ONBUILD\s+)*{word}\s+(?P<rest>\S.*)", line, re.IGNORECASE)
            if found is not None:
                yield found["rest"]


def _alone(line: str) -> str:
    """Return a line as if the next one did not continue it."""
    return line.rstrip(" \t").removesuffix("\\")


def check_dockerfile(text: str, rules: ContainerRules) -> None:
    """Judge a submitter's Dockerfile by the policy of this host.

    Raises:
        PolicyRefused: it names an image that is not granted, or fetches files over the network of the host, or it
            cannot be told whether it does.
    """
    read = _read(text)
    _check_directives(read)
    _check_additions(read, rules)
    if _ANY not in rules.images:
        for image in _images(read):
            refusal = refuse_image(parse_image(image), rules)
            if refusal is not None:
                raise PolicyRefused(f"In the job's Dockerfile: {refusal}")


def _read(text: str) -> _Dockerfile:
    lines = tuple(line.removesuffix("\r") for line in text.split("\n"))
    instructions, unfinished = [], ""
    for line in lines:
        if line.lstrip().startswith("#") or (unfinished and not line.strip()):
            continue
        stripped = line.rstrip(" \t")
        if stripped.endswith("\\"):
            unfinished += stripped[:-1]
            continue
        instructions.append((unfinished + line).strip())
        unfinished = ""
    return _Dockerfile(lines, (*instructions, unfinished.strip()))


def _check_directives(read: _Dockerfile) -> None:
    for line in read.lines:
        found = _DIRECTIVE.match(line)
        if found is None:
            continue
        if found["name"].lower() == "escape":
            raise PolicyRefused("The job's Dockerfile has the directive `escape`, which is for Windows: leave it out.")
        if not _OFFICIAL_SYNTAX.fullmatch(found["value"]):
            raise PolicyRefused(
                f"The job's Dockerfile names {found['value']} as its syntax, and this host takes docker/dockerfile"
                " alone: leave the line out."
            )


def _check_additions(read: _Dockerfile, rules: ContainerRules) -> None:
    """An engine fetches what `ADD` names itself, over the network of the host."""
    if _HOST_NETWORK in rules.networks:
        return
    for addition in read.candidates("ADD"):
        if _ELSEWHERE.search(addition):
            raise PolicyRefused(
                f"The job's Dockerfile has ADD {addition.strip()[:200]}, which the engine would fetch over this host's"
                " own network, which launchd.policy.containers.networks does not grant: fetch it in a RUN step."
            )


def _images(read: _Dockerfile) -> Iterator[str]:
    if any("<<" in line for line in read.lines):
        raise PolicyRefused(
            "The job's Dockerfile has here-documents, and this host grants some images alone"
            " (launchd.policy.containers.images): write the lines as RUN steps, so that its images can be told."
        )
    stages = set(_stages(read))
    for source in read.candidates("FROM"):
        yield from _unless_stage(_image_of(source), stages, read)
    for line in (*read.lines, *read.instructions):
        for found in _FROM_OPTION.finditer(line):
            if not found["image"].isdigit():
                yield from _unless_stage(found["image"], stages, read)


def _unless_stage(name: str, stages: set[str], read: _Dockerfile) -> Iterator[str]:
    image = _filled(name, read)
    if image.lower() not in stages and image != _SCRATCH:
        yield image


def _stages(read: _Dockerfile) -> Iterator[str]:
    for line in read.instructions:
        words = line.lower().split()
        if words and words[0] == "from" and len(words) > 3 and words[-2] == "as":
            yield words[-1]


def _image_of(source: str) -> str:
    words = [word for word in source.split() if not word.startswith("--")]
    return words[0] if words else ""


def _filled(name: str, read: _Dockerfile) -> str:
    """Return ``name`` with the defaults of the build's arguments in it; a job gives no others."""

    def value(match: re.Match[str]) -> str:
        wanted = match["braced"] or match["plain"]
        values = {
            found["value"]
            for line in (*read.instructions, *read.lines)
            if (found := _IMAGE_ARGUMENT.fullmatch(line.strip())) and found["name"] == wanted
        }
        return values.pop() if len(values) == 1 else match[0]

    filled = _VARIABLE.sub(value, name)
    if "$" in filled or not filled:
        raise PolicyRefused(
            f"The job's Dockerfile names an image as {name[:200]!r}, and this host grants some images alone"
            " (launchd.policy.containers.images): write the name out."
        )
    return filled
