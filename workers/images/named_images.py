"""What a Dockerfile asks of this host beside its own files: images to start from, and files from elsewhere. Pure.

Read from the side of caution: what could be an image's name for the engine counts as one, and what cannot be told is
refused. Only a submitter's own Dockerfile is read so; one that this agent wrote names what was judged before.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import msgspec

from ipc.errors import InvalidSpec, PolicyRefused
from ipc.policy_rules import ContainerRules
from workers.docker.images import parse_image
from workers.docker.policy import refuse_image

_SCRATCH = "scratch"
_ANY = "*"
_HOST_NETWORK = "host"
_DIRECTIVE = re.compile(r"^\s*(?:#|//)\s*(?P<name>syntax|escape)\s*=\s*(?P<value>\S+)", re.IGNORECASE)
_OFFICIAL_SYNTAX = re.compile(r"docker/dockerfile(?::[\w.-]+)?")
_FROM_OPTION = re.compile(r"""(?:--from[=\s]+|[,=]from=)["']?(?P<image>[^\s,"']+)""", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(?P<braced>\w+)(?::-(?P<default>[^${}]+))?\}|(?P<plain>\w+))")
#: Arguments that the engine fills in itself.
_OF_ENGINE = re.compile(r"(?:TARGET|BUILD)(?:PLATFORM|OS|ARCH|VARIANT|STAGE)")
_IMAGE_ARGUMENT = re.compile(r"ARG\s+(?P<name>\w+)=[\"']?(?P<value>[^\s\"']*)[\"']?\s*", re.IGNORECASE)
#: An address, of git's too; a variable, or a character that is written as a number, may stand for one.
_ELSEWHERE = re.compile(r"://|\w@[\w.-]+:|\$|\\u", re.IGNORECASE)
_QUOTES = str.maketrans("", "", "\\\"'")
_BOM = "\ufeff"


class _Dockerfile(msgspec.Struct, frozen=True):
    """``lines`` as they stand, and ``instructions``, in which continued lines are one."""

    lines: tuple[str, ...]
    instructions: tuple[str, ...]

    def candidates(self, word: str) -> Iterator[str]:
        """Yield what may be an instruction called ``word``, without that word."""
        yield from _after((*self.instructions, *map(_alone, self.lines)), word)


def _after(lines: Iterable[str], word: str) -> Iterator[str]:
    """Yield what comes after ``word`` in the lines that begin with it."""
    for line in lines:
        found = re.match(rf"\s*(?:ONBUILD\s+)*{word}\s+(?P<rest>\S.*)", line, re.IGNORECASE)
        if found is not None:
            yield found["rest"]


def _alone(line: str) -> str:
    """Return a line as if the next one did not continue it."""
    return line.rstrip(" \t").removesuffix("\\")


def judges_additions(rules: ContainerRules) -> bool:
    """Return whether the policy minds what an engine fetches for `ADD`: over the network of the host, by itself."""
    return _HOST_NETWORK not in rules.networks


def check_dockerfile(text: str, rules: ContainerRules) -> None:
    """Judge a submitter's Dockerfile by the policy of this host.

    Raises:
        PolicyRefused: it names an image that is not granted, or fetches files over the network of the host, or it
            cannot be told whether it does.
    """
    read = _read(text)
    _check_directives(read)
    _check_additions(read, rules, "The job's Dockerfile")
    if _ANY not in rules.images:
        for image in _images(read):
            refusal = refuse_image(parse_image(image), rules)
            if refusal is not None:
                raise PolicyRefused(f"In the job's Dockerfile: {refusal}")


def _read(text: str) -> _Dockerfile:
    lines = tuple(line.removesuffix("\r") for line in text.removeprefix(_BOM).split("\n"))
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
    if read.lines[0].lstrip().startswith("{"):
        raise PolicyRefused("The job's Dockerfile is JSON, which can name a syntax of its own: write instructions.")
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


def check_triggers(image: str, triggers: Sequence[str], rules: ContainerRules) -> None:
    """Judge what a base image does to a build upon it; raises :class:`PolicyRefused`."""
    _check_additions(_read("\n".join(triggers)), rules, f"The base image {image} (with ONBUILD)")


def base_names(text: str) -> Iterator[str]:
    """Yield the images that a Dockerfile begins from; raises :class:`PolicyRefused` where that cannot be told.

    Engines differ in what they take for an instruction where there are here-documents, or two backslashes at the end of
    a line: all that may be one counts there. No engine begins from what is no name of an image.
    """
    read = _read(text)
    is_plain = not any("<<" in line or line.rstrip(" \t").endswith("\\\\") for line in read.lines)
    stages = _stages(read)
    for source in _after(read.instructions, "FROM") if is_plain else read.candidates("FROM"):
        for image in _unless_stage(_image_of(source), stages, read):
            with suppress(InvalidSpec):
                yield str(parse_image(image))


def _check_additions(read: _Dockerfile, rules: ContainerRules, whose: str) -> None:
    if not judges_additions(rules):
        return
    for addition in read.candidates("ADD"):
        # Words are taken without their quotes: http":"//a is an address.
        if _ELSEWHERE.search(addition) or _ELSEWHERE.search(addition.translate(_QUOTES)):
            raise PolicyRefused(
                f"{whose} has ADD {addition.strip()[:200]}, which the engine would fetch over this host's"
                " own network, which launchd.policy.containers.networks does not grant: fetch it in a RUN step."
            )


def _images(read: _Dockerfile) -> Iterator[str]:
    if any("<<" in line for line in read.lines):
        raise PolicyRefused(
            "The job's Dockerfile has here-documents, and this host grants some images alone"
            " (launchd.policy.containers.images): write the lines as RUN steps, so that its images can be told."
        )
    stages = _stages(read)
    for source in read.candidates("FROM"):
        yield from _unless_stage(_image_of(source), stages, read)
    for line in (*read.lines, *read.instructions):
        for image in _from_options(line):
            if not image.isdigit():
                yield from _unless_stage(image, stages, read)


def _from_options(line: str) -> Iterator[str]:
    """Yield what a line may take files from; quotes within an option are no part of it."""
    for text in (line, line.translate(_QUOTES)):
        yield from (found["image"] for found in _FROM_OPTION.finditer(text))


def _unless_stage(name: str, stages: set[str], read: _Dockerfile) -> Iterator[str]:
    image = _filled(name, read)
    if image.lower() not in stages and image != _SCRATCH:
        yield image


def _stages(read: _Dockerfile) -> set[str]:
    """Return the names of stages that are no image's: a name means its stage only after the line that gives it."""
    stages: set[str] = set()
    images: set[str] = set()
    for line in read.instructions:
        words = line.lower().split()
        is_from = bool(words) and words[0] == "from"
        based_on = {_image_of(" ".join(words[1:]))} if is_from else set()
        images |= (based_on | set(_from_options(line.lower()))) - stages
        if is_from and len(words) > 3 and words[-2] == "as":
            stages.add(words[-1])
    return stages - images


def _image_of(source: str) -> str:
    words = [word for word in source.split() if not word.startswith("--")]
    return words[0] if words else ""


def _filled(name: str, read: _Dockerfile) -> str:
    """Return ``name`` with the defaults of the build's arguments in it; a job gives no others."""

    def value(match: re.Match[str]) -> str:
        name = match["braced"] or match["plain"]
        values = set(_values(name, read)) or {match["default"] or ""}
        return values.pop() or match[0] if len(values) == 1 and not _OF_ENGINE.fullmatch(name) else match[0]

    filled = _VARIABLE.sub(value, name)
    if "$" in filled or not filled:
        raise PolicyRefused(
            f"The job's Dockerfile names an image as {name[:200]!r}, and this host has to know which one that is"
            " (launchd.policy.containers.images and networks): write the name out."
        )
    return filled


def _values(name: str, read: _Dockerfile) -> Iterator[str]:
    """Yield the defaults of an argument of the build; an empty one where that is one of several in a line."""
    for line in (*read.instructions, *read.lines):
        found = _IMAGE_ARGUMENT.fullmatch(line.strip())
        if found is None and re.match(r"\s*ARG\s", line, re.IGNORECASE) and f"{name}=" in line.translate(_QUOTES):
            yield ""
        elif found is not None and found["name"] == name:
            yield found["value"]
