"""What makes a fetched project runnable: one module per builder.

Nothing but the chosen one is imported; ``ipc.targets`` lists them.
"""

import pkgutil
from typing import Protocol

import msgspec

from ipc.errors import InvalidSpec
from ipc.targets import BUILDERS
from workers.context import JobContext
from workers.extras import needed_for
from workers.sources import Project


class Build(msgspec.Struct, frozen=True):
    """What a builder made: variables for a process of this host, directories to put first on its ``PATH``, an image.

    ``cache_locks`` are lock files; while one is locked (shared), what was built is not removed from the host's cache.
    ``archive`` is a file with the image in Docker's form, where no registry has it; ``mounts_project`` says that the
    image is to have the project's directory mounted, because it holds no code; ``code`` is an archive with the
    project's files instead, for targets that cannot mount what this host has.
    ``entry_point`` replaces the job's, where its files lie elsewhere in what was built; ``prefix`` goes before the
    job's whole command.
    """

    environment: dict[str, str] = {}
    path: tuple[str, ...] = ()
    image: str | None = None
    cache_locks: tuple[str, ...] = ()
    archive: str | None = None
    mounts_project: bool = False
    code: str | None = None
    entry_point: tuple[str, ...] = ()
    prefix: tuple[str, ...] = ()


class Builder(Protocol):
    """Builds an environment or an image for a project."""

    def needed(self, project: Project, context: JobContext) -> bool:
        """Return whether there is anything to build; raises :class:`BuildError` where that cannot be known."""
        ...

    def build(self, project: Project, context: JobContext) -> Build:
        """Build it, or find it built before.

        Raises:
            BuildError: with the end of the output as ``detail``.
            JobCancelled: the job was stopped meanwhile.
        """
        ...


def load_builder(name: str) -> Builder:
    """Return the builder called ``name``.

    Raises:
        InvalidSpec: this agent has none of that name.
        HostError: this agent was installed without what it needs.
    """
    kind = BUILDERS.get(name)
    if kind is None or kind.path is None:
        raise InvalidSpec(
            f"The job would need an image built by {name}, and this agent builds none yet.",
            hint="Launch a container image, or the source code on a queue for local-process.",
        )
    with needed_for(f"the builder {name}", kind.extra):
        builder: Builder = pkgutil.resolve_name(kind.path)()
    return builder
