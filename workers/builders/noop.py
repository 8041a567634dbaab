"""Builds nothing: code runs in a base image, with the project mounted, as with newer agents of W&B's (0.26.0)."""

from typing import Any

from ipc.errors import InvalidSpec, PolicyRefused
from ipc.targets import KUBERNETES, LOCAL_CONTAINER
from workers.builders import Build
from workers.context import JobContext
from workers.docker.images import parse_image
from workers.docker.policy import refuse_image
from workers.images.build_area import open_build_area
from workers.images.contents import copy_project
from workers.kubernetes.archives import CODE_ARCHIVE, pack
from workers.sources import Project

#: W&B's.
DEFAULT_BASE_IMAGE = "python:3.12-slim"

#: What W&B's agent puts before the command of such a job: the first list of requirements there is gets installed.
INSTALL = (
    "if [ -f requirements.txt ]; then python -m pip install -r requirements.txt; "
    "elif [ -f pyproject.toml ]; then python -m pip install .; "
    "elif [ -f requirements.frozen.txt ]; then python -m pip install -r requirements.frozen.txt; "
    'fi || exit; exec "$@"'
)


class NoopBuilder:
    """W&B's builder `noop`: this host builds no images."""

    def needed(self, project: Project, context: JobContext) -> bool:  # noqa: ARG002 (the interface's)
        """Return True: code needs an image to run in."""
        return True

    def build(self, project: Project, context: JobContext) -> Build:
        """Return a base image: the job's own, that of the resource args, or W&B's default.

        Raises:
            InvalidSpec: it is no name of an image, or the resource mounts no projects.
            PolicyRefused: this host does not grant it.
        """
        spec = context.order.spec
        if spec.resource not in (LOCAL_CONTAINER, KUBERNETES):
            raise InvalidSpec(
                f"The job is source code, and this agent builds no images for {spec.resource}.",
                hint="Launch a container image, or have the administrator choose another builder.type.",
            )
        image = parse_image(project.base_image or _named(spec.resource_args.get(spec.resource)) or DEFAULT_BASE_IMAGE)
        if spec.resource == LOCAL_CONTAINER:
            refusal = refuse_image(image, context.order.policy.containers)
            if refusal is not None:
                raise PolicyRefused(refusal)
        context.warn(
            f"This agent builds no images: the job runs in {image}, with its code mounted, and its requirements are"
            " installed each time.",
            "build",
        )
        prefix = ("/bin/sh", "-c", INSTALL, "sh")
        if spec.resource == KUBERNETES:
            return Build(image=str(image), prefix=prefix, code=_packed(project, context))
        return Build(image=str(image), prefix=prefix, mounts_project=True)


def _packed(project: Project, context: JobContext) -> str:
    """Return the path of an archive with the project's files, which reach a pod by it."""
    archive = context.directory / CODE_ARCHIVE
    with open_build_area(context) as area:
        copy_project(project, context, area / "files")
        pack(area / "files", archive)
    return str(archive)


def _named(args: Any) -> str | None:
    """Return W&B's ``builder.base_image`` of the resource args."""
    settings = (args or {}).get("builder") or {}
    image = settings.get("base_image") if isinstance(settings, dict) else settings
    if image is not None and not isinstance(image, str):
        raise InvalidSpec("builder.base_image in the resource args must be the name of an image.")
    return image
