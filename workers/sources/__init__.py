"""Where a job's files come from: one module per kind of source.

Owns the choice among them; nothing but the chosen one is imported.
"""

import pkgutil
import re
from pathlib import Path, PurePosixPath
from typing import Protocol

import msgspec

from ipc.errors import InvalidSpec, SourceError
from ipc.run_spec import RunSpec
from workers.context import JobContext
from workers.sources.python_version import python_version

_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f]")

#: What W&B's agent runs where no command is named.
DEFAULT_ENTRY_POINT = ("python", "main.py")


class Project(msgspec.Struct, frozen=True):
    """A fetched source: its directory, and the command it suggests where the submitter gave none.

    With an ``image`` there is nothing to build, and no file of the directory is in the container. ``build_context`` is
    a directory within the project that stands for it (None: the project itself), and ``working_dir`` one within that in
    which the command runs. ``dockerfile`` is a path within ``build_context``; ``base_image`` is an image that has all
    that the code needs; ``python`` is the version that the source was made with, as `3.11`, None where that is not
    known. The paths lead nowhere outside by their words; the project's links may.
    """

    directory: Path
    entry_point: tuple[str, ...] = ()
    image: str | None = None
    dockerfile: str | None = None
    build_context: str | None = None
    base_image: str | None = None
    python: str | None = None
    working_dir: str | None = None

    @property
    def place(self) -> str:
        """Where the command runs, as a path within the project; empty for the project itself."""
        return "/".join(filter(None, (self.build_context, self.working_dir)))

    @property
    def places(self) -> tuple[str, ...]:
        """Where requirements may stand, as paths within the project: where the command runs, then its whole context."""
        return tuple(dict.fromkeys((self.place, self.build_context or "")))


def path_within(text: str, what: str) -> str:
    """Return a path within a project in its plain form; raises :class:`InvalidSpec` for one that leads out of it."""
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts or _CONTROL_CHARACTERS.search(text):
        raise InvalidSpec(f"{what} {text[:200]!r} leads out of the project.", hint="Name it by its path in the code.")
    return "" if path == PurePosixPath() else str(path)


def overridden(project: Project, spec: RunSpec) -> Project:
    """Return a fetched project with what the run spec says of it; its command is the runner's to override.

    Raises:
        InvalidSpec: the Dockerfile or the working directory that it names is outside of the project.
    """
    dockerfile, working_dir = spec.overrides.dockerfile, spec.overrides.working_dir
    return msgspec.structs.replace(
        project,
        working_dir=path_within(working_dir, "overrides.working_dir") if working_dir else project.working_dir,
        dockerfile=path_within(dockerfile, "overrides.dockerfile") if dockerfile else project.dockerfile,
        python=project.python or python_version(spec.python_version),
    )


def with_directories(project: Project) -> Project:
    """Return ``project``, whose context and working directory are there.

    To be called before any process of its author runs: links in it are followed.

    Raises:
        SourceError: one of them is no directory, or leads out of the project.
    """
    root = project.directory.resolve()
    for path, what in ((project.build_context, "build context"), (project.working_dir, "working directory")):
        place = root / (project.place if path is project.working_dir else path or "")
        if path and not _is_directory_within(place, root):
            raise SourceError(
                f"The {what} {path!r} is no directory of the job's code.", hint="Name it by its path in the code."
            )
    return project


def _is_directory_within(path: Path, root: Path) -> bool:
    try:
        found = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        return False
    return found.is_dir() and found.is_relative_to(root)


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
    if spec.names_a_run:
        raise InvalidSpec(
            f"The run spec names the run {spec.uri}, and no source: an agent does not look up what a run was made of.",
            hint="Launch the run's job, or its repository (launchd launch ADDRESS-OF-THE-RUN looks it up).",
        )
    if spec.uri:
        raise InvalidSpec(
            f"The run spec names {spec.uri}, which is neither a git repository's address nor a code directory.",
            hint="Launch an image, a job, a git repository, a code directory or a command.",
        )
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
