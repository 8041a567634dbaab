"""Which image a project's image is made from, and which Python that brings. Pure but for the agent's own version."""

import platform
from typing import Any

import msgspec

from ipc.errors import InvalidSpec
from workers.context import JobContext
from workers.sources import Project
from workers.sources.python_version import python_version

#: W&B's keys below ``resource_args.RESOURCE.builder``; the first one counts.
_ACCELERATORS = ("accelerator", "cuda")


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
    """
    version = python_version(project.python) or _own_version()
    usual = context.order.docker.base_image.replace("{version}", version)
    if project.base_image:
        return Base(project.base_image, usual, "the job's base image", is_complete=True)
    accelerator = _accelerator(context)
    if accelerator is not None:
        return Base(accelerator[1], usual, accelerator[0], python=version)
    return Base(usual, usual)


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
