"""Which image a project's image is made from, and which Python that brings."""

import platform
import re
from typing import Any

import msgspec

from ipc.errors import BuildError, InvalidSpec
from workers.builders.interpreters import WantedPython, choose_minor, fits_minor
from workers.builders.reader import read_requires_python
from workers.context import JobContext
from workers.sources import Project
from workers.sources.python_version import python_version

#: W&B's keys below ``resource_args.RESOURCE.builder``; the first one counts.
_ACCELERATORS = ("accelerator", "cuda")

#: The version in the name of an image such as ``python:3.11-slim``.
_PYTHON_IN_NAME = re.compile(r"\bpython:?(3\.\d{1,2})(?!\d)")


class Base(msgspec.Struct, frozen=True):
    """Images to start from: ``image`` for the job's own, ``python_image`` where its environment is built.

    ``named_by`` says who chose ``image``, where that was not this host's configuration; ``python`` is the version that
    has to be installed into it, None where it has one. With ``is_complete``, ``image`` holds all that the code needs.
    """

    image: str
    python_image: str
    named_by: str | None = None
    python: str | None = None
    is_complete: bool = False


def choose_base(project: Project, context: JobContext) -> Base:
    """Return what the image of ``project`` is made from.

    W&B's order: the job's own base image, that of an accelerator in the resource args, then the usual one.

    Raises:
        InvalidSpec: the resource args name no image where one belongs.
        BuildError: there is no Python that `requires-python` and the version that the job was made with allow.
    """
    if project.base_image:
        return Base(project.base_image, project.base_image, "the job's base image", is_complete=True)
    recorded = python_version(project.python)
    wanted = WantedPython(read_requires_python(project, context), recorded)
    version = choose_minor(wanted, recorded or _own_version())
    usual = _usual_image(wanted, version, context)
    accelerator = _accelerator(context)
    if accelerator is not None:
        return Base(accelerator[1], usual, accelerator[0], python=version)
    return Base(usual, usual)


def _usual_image(wanted: WantedPython, version: str, context: JobContext) -> str:
    """Return this host's base image with Python ``version``; raises `BuildError` for one whose name says another."""
    image = context.order.docker.base_image.replace("{version}", version)
    named = _PYTHON_IN_NAME.search(image)
    if named is not None and not fits_minor(wanted, named[1]):
        raise BuildError(
            f"The project asks for {wanted}, and images are made from {image} here, which has Python {named[1]}.",
            hint="The administrator puts {version} into launchd.docker.base_image, or the job names a base image.",
        )
    return image


def _own_version() -> str:
    """Return the version of the agent's Python, such as ``3.11``."""
    return ".".join(platform.python_version_tuple()[:2])


def _accelerator(context: JobContext) -> tuple[str, str] | None:
    """Return the key that names an accelerator's image, and the image."""
    resource = context.order.spec.resource
    settings = _mapping(context.order.spec.resource_args.get(resource), f"resource_args.{resource}").get("builder")
    place = f"resource_args.{resource}.builder"
    for key in _ACCELERATORS:
        image = _mapping(_mapping(settings, place).get(key), f"{place}.{key}").get("base_image")
        if image is not None:
            return f"{place}.{key}.base_image", _text(image, f"{place}.{key}.base_image")
    return None


def _mapping(value: Any, place: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidSpec(f"{place} in the run spec must be an object.", hint="Correct it and launch again.")
    return value


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise InvalidSpec(f"{place} in the run spec must be the name of an image.", hint="Correct it and launch again.")
    return value
