"""Builds an image once: what is there already is used as it is, and no two jobs of a host build the same at a time."""

import os
from typing import Protocol

from workers.builders import Build
from workers.context import JobContext
from workers.images import ImagePlan
from workers.images.build_area import open_build_area
from workers.images.build_log import BuildLog
from workers.images.host_settings import passwords
from workers.images.lock import building
from workers.images.plan import Names, plan_image
from workers.sources import Project


class ImageMaker(Protocol):
    """What knows how images are built and where they are kept."""

    def has(self, plan: ImagePlan) -> bool:
        """Return whether the image is where jobs get it from."""
        ...

    def make(self, plan: ImagePlan, log: BuildLog) -> None:
        """Build the image, and bring it where jobs get it from.

        Raises:
            BuildError: with the end of the output as ``detail``.
            JobCancelled: the job was stopped meanwhile.
        """
        ...


def build_once(project: Project, context: JobContext, registry: Names, maker: ImageMaker) -> Build:
    """Return the image of ``project``: found, or built now.

    Raises:
        BuildError: with the end of the output as ``detail``.
        JobError: what else :func:`~workers.images.plan.plan_image` raises.
        JobCancelled: the job was stopped meanwhile.
    """
    with open_build_area(context) as area:
        plan = plan_image(project, context, registry, area)
        is_there = maker.has(plan)
        if not is_there:
            with building(plan.reference, context):
                is_there = maker.has(plan)
                if not is_there:
                    _make(plan, context, maker)
        context.note_built("image", reused=is_there)
    return Build(image=plan.reference, entry_point=plan.entry_point)


def _make(plan: ImagePlan, context: JobContext, maker: ImageMaker) -> None:
    context.progress("building the image")
    with BuildLog(plan.log, passwords(os.environ)) as log:
        maker.make(plan, log)
    if log.left_out is not None:
        context.warn(
            f"Not all frozen requirements could be installed into the image, which was built without: {log.left_out}.",
            "build",
        )
