"""Where a job's files come from: one module per kind of source.

Owns the choice among them; nothing but the chosen one is imported.
"""

import pkgutil
from pathlib import Path, PurePosixPath
from typing import Protocol

import msgspec

from ipc.errors import InvalidSpec
from ipc.run_spec import RunSpec
from workers.context import JobContext
from workers.sources.python_version import python_version

#: What W&B's agent runs where no command is named.
DEFAULT_ENTRY_POINT = ("python", "main.py")


class Project(msgspec.Struct, frozen=True):
    """A fetched source: its directory, and the command it suggests where the submitter gave none.

    With an ``image`` there is nothing to build, and no file of the directory is in the container. The rest is for what
    builds an image, in W&B's words: ``dockerfile`` is a path within ``build_context``, which is a directory within the
    project (None: the project itself); ``base_image`` is an image that has all that the code needs;
    ``python`` is the version that the source was made with, as `3.11`, None where that is not known. The paths lead
    nowhere outside by their words; the project's links may.
    """

    directory: Path
    entry_point: tuple[str, ...] = ()
    image: str | None = None
    dockerfile: str | None = None
    build_context: str | None = None
    base_image: str | None = None
    python: str | None = None


def path_within(text: str, what: str) -> str:
    """Return a path within a project in its plain form; raises :class:`InvalidSpec` for one that leads out of it."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or "\0" in text:
        raise InvalidSpec(f"{what} {text[:200]!r} leads out of the project.", hint="Name it by its path in the code.")
    return str(path)


def overridden(project: Project, spec: RunSpec) -> Project:
    """Return a fetched project with what the run spec says of building it; its command is the runner's to override.

    Raises:
        InvalidSpec: the Dockerfile that it names is outside of the project.
    """
    dockerfile = spec.overrides.dockerfile
    return msgspec.structs.replace(
        project,
        dockerfile=path_within(dockerfile, "overrides.dockerfile") if dockerfile else project.dockerfile,
        python=project.python or python_version(spec.python_version),
    )


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
