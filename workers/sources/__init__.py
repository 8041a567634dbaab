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

    With an ``image`` there is nothing to build, and no file of the directory is in the container. ``dockerfile`` and
    ``build_context`` are paths in the directory that a job names, ``base_image`` the image that holds all that its code
    needs, ``python`` the version that it was made with, such as ``3.11``.
    """

    directory: Path
    entry_point: tuple[str, ...] = ()
    image: str | None = None
    dockerfile: str | None = None
    build_context: str | None = None
    base_image: str | None = None
    python: str | None = None


class Source(Protocol):
    """Brings a job's files to this host."""

    def fetch(self, context: JobContext) -> Project:
        """Put the files into ``context.work`` and return the project.

        Raises:
            SourceError: they cannot be had; the message says why and what to do.
            JobCancelled: the job was stopped meanwhile.
        """
        ...


SOURCES: dict[str, str] = {
    "git": "workers.sources.git:GitSource",
    "code": "workers.sources.code:CodeSource",
    "job": "workers.sources.job:JobSource",
}


def _source_name(spec: RunSpec) -> str | None:
    """Return the key in :data:`SOURCES` for ``spec``, None where there are no files; raises :class:`InvalidSpec`."""
    # W&B's order: an image that is named wins over the job.
    if spec.docker_image:
        return None
    if spec.job is not None:
        return "job"
    if spec.git.repo:
        return "git"
    if spec.code_artifact is not None:
        return "code"
    if spec.overrides.entry_point:
        return None
    raise InvalidSpec(
        "The run spec names no image, no job, no repository, no code directory and no command.",
        hint="Launch one of them.",
    )


def load_source(spec: RunSpec) -> Source | None:
    """Return the source of ``spec``, None for an image and for a command alone, which runs in an empty directory.

    Raises:
        InvalidSpec: it names nothing that could be run.
    """
    name = _source_name(spec)
    if name is None:
        return None
    source: Source = pkgutil.resolve_name(SOURCES[name])()
    return source
