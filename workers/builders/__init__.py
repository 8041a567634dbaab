"""What makes a fetched project runnable: one module per builder.

Owns the choice among them; nothing but the chosen one is imported.
"""

import pkgutil
from typing import Protocol

import msgspec

from workers.context import JobContext
from workers.sources import Project


class Build(msgspec.Struct, frozen=True):
    """What a builder made: variables to add to the job's environment, directories to put first on ``PATH``, an image.

    ``holds`` are lock files; while one is locked (shared), what was built is not removed from the host's cache.
    """

    environment: dict[str, str] = {}
    path: tuple[str, ...] = ()
    image: str | None = None
    cache_locks: tuple[str, ...] = ()


class Builder(Protocol):
    """Builds an environment or an image for a project."""

    def needed(self, project: Project, context: JobContext) -> bool:
        """Return whether there is anything to build."""
        ...

    def build(self, project: Project, context: JobContext) -> Build:
        """Build it, or find it built before.

        Raises:
            BuildError: with the end of the output as ``detail``.
            JobCancelled: the job was stopped meanwhile.
        """
        ...


BUILDERS: dict[str, str] = {
    "venv": "workers.builders.venv:VenvBuilder",
}


def load_builder(name: str) -> Builder:
    """Return the builder called ``name``, a key of :data:`BUILDERS`."""
    builder: Builder = pkgutil.resolve_name(BUILDERS[name])()
    return builder
