"""Where a job's files come from: one module per kind of source.

Owns the choice among them; nothing but the chosen one is imported.
"""

import pkgutil
from pathlib import Path
from typing import Protocol

import msgspec

from ipc.errors import InvalidSpec
from ipc.run_spec import RunSpec
from workers.context import JobContext

#: What W&B's agent runs where no command is named.
DEFAULT_ENTRY_POINT = ("python", "main.py")


class Project(msgspec.Struct, frozen=True):
    """A fetched source: its directory, and the command it suggests where the submitter gave none.

    With an ``image`` there is nothing to build, and no file of the directory is in the container.
    """

    directory: Path
    entry_point: tuple[str, ...] = ()
    image: str | None = None


class Source(Protocol):
    """Brings a job's files to this host."""

    def fetch(self, context: JobContext) -> Project:
        """Put the files into ``context.work`` and return the project.

        Raises:
            SourceError: they cannot be had; the message says why and what to do.
            JobCancelled: the job was stopped meanwhile.
        """
        ...


class CommandSource:
    """Fetches nothing: the job is the submitter's command alone, in an empty directory."""

    def fetch(self, context: JobContext) -> Project:
        """Return the job's empty working directory as its project."""
        return Project(context.work)


class ImageSource:
    """Fetches nothing: the job is a container image, which its target brings."""

    def fetch(self, context: JobContext) -> Project:
        """Return the image as the project."""
        return Project(context.work, image=context.order.spec.docker_image)


SOURCES: dict[str, str] = {
    "image": "workers.sources:ImageSource",
    "command": "workers.sources:CommandSource",
    "git": "workers.sources.git:GitSource",
    "code": "workers.sources.code:CodeSource",
    "job": "workers.sources.job:JobSource",
}


def source_name(spec: RunSpec) -> str:
    """Return the key in :data:`SOURCES` for ``spec``; raises :class:`InvalidSpec` when it names no known source."""
    # W&B's order: an image that is named wins over the job.
    if spec.docker_image:
        return "image"
    if spec.job is not None:
        return "job"
    if spec.git.repo:
        return "git"
    if spec.code_artifact is not None:
        return "code"
    if spec.overrides.entry_point:
        return "command"
    raise InvalidSpec(
        "The run spec names no image, no job, no repository, no code directory and no command.",
        hint="Launch one of them.",
    )


def load_source(spec: RunSpec) -> Source:
    """Return the source of ``spec``; raises :class:`InvalidSpec`."""
    source: Source = pkgutil.resolve_name(SOURCES[source_name(spec)])()
    return source
