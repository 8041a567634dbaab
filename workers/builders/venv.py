"""A virtual environment for a project's requirements: shared where they come to hashed wheels, else the job's own."""

import logging
import sys
from pathlib import Path

from ipc.directories import make_passable
from workers.builders import Build
from workers.builders.fetched_pythons import FetchedPythons
from workers.builders.installers import Installer, find_installer, identify
from workers.builders.interpreters import NoFittingPython, WantedPython, find_python
from workers.builders.own_environment import build_own
from workers.builders.reader import read_requires_python, search_requirements
from workers.builders.requirement_lines import Listing
from workers.builders.requirements import Requirements
from workers.builders.shared_environment import SharedEnvironments
from workers.builders.tools import tool_environment
from workers.builders.venv_cache import Entry, trim
from workers.builders.wheels import NotShareable
from workers.context import JobContext
from workers.sources import Project

SECONDS_A_DAY = 86400.0
#: Of a project that needs an interpreter alone.
_NO_REQUIREMENTS = Requirements("its version of Python", "", Listing(()))

log = logging.getLogger(__name__)


class VenvBuilder:
    """Builds what ``requirements.txt``, ``pyproject.toml`` or ``requirements.frozen.txt`` asks for."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, str], tuple[Path, Requirements] | None] = {}
        self._pythons: dict[tuple[Path, str], str] = {}

    def needed(self, project: Project, context: JobContext) -> bool:
        """Return whether the project has requirements, or needs another interpreter than the usual one.

        Raises:
            BuildError: what it asks for cannot be read, or this host has no interpreter for it.
        """
        if self._requirements(project, context) is not None:
            return True
        try:
            return self._python(project, context) != _usual(context)
        except NoFittingPython:
            if not FetchedPythons(_cache_directory(context), context).may_grow:
                raise
            return True

    def build(self, project: Project, context: JobContext) -> Build:
        """Build the environment, or wait for another worker's, or find it built before.

        A shared one is locked against removal for the rest of this worker's life.

        Raises:
            BuildError: with the end of the output as ``detail``.
            JobCancelled: the job was stopped meanwhile.
        """
        try:
            python = self._python(project, context)
        except NoFittingPython:
            fetched = FetchedPythons(_cache_directory(context), context)
            if not fetched.may_grow:
                raise
            fetched.fetch(_wanted(project, context))
            python = self._python(project, context)
        directory, requirements = self._requirements(project, context) or (project.directory, _NO_REQUIREMENTS)
        identify(python)
        installer = find_installer(python, context.order.venv.pip_args)
        try:
            entry = _shared(requirements, installer, python, context)
        except NotShareable as why:
            log.info("The environment is the job's own.", extra={"origin": requirements.origin, "why": str(why)})
            built = _build_of(build_own(directory, requirements, installer, context, str(why)))
            context.note_built("environment", reused=False)
            return built
        return _build_of(entry.path, str(entry.lock_path))

    def _python(self, project: Project, context: JobContext) -> str:
        key = project.directory, project.place
        if key not in self._pythons:
            fetched = FetchedPythons(_cache_directory(context), context).by_path()
            search_path = tool_environment(context.order.user, {})["PATH"]
            # What is on the host comes before what was brought to it.
            self._pythons[key] = find_python(
                _wanted(project, context), _usual(context), context.order.venv.pythons, search_path, fetched
            )
        return self._pythons[key]

    def _requirements(self, project: Project, context: JobContext) -> tuple[Path, Requirements] | None:
        key = project.directory, project.place
        if key not in self._known:
            self._known[key] = search_requirements(project, context)
        return self._known[key]


def _shared(requirements: Requirements, installer: Installer, python: str, context: JobContext) -> Entry:
    """Return the shared environment with ``requirements``; raises :class:`NotShareable` where there can be none."""
    listing = _listing(requirements, context)
    cache = _cache_directory(context)
    shared = SharedEnvironments(cache, installer, python, context)
    wheels = shared.resolve(listing) if listing.requirements else ()
    entry = shared.environment(wheels, listing, requirements.origin)
    settings = context.order.venv
    keep_seconds = None if settings.cache_keep_days is None else settings.cache_keep_days * SECONDS_A_DAY
    for removed in trim(cache, settings.cache_max_bytes, keep_seconds):
        log.info("An environment was removed from the cache.", extra={"key": removed})
    return entry


def _wanted(project: Project, context: JobContext) -> WantedPython:
    return WantedPython(read_requires_python(project, context), project.python)


def _usual(context: JobContext) -> str:
    return context.order.venv.python or sys.executable


def _listing(requirements: Requirements, context: JobContext) -> Listing:
    if requirements.listing is None:
        raise NotShareable(requirements.needs_project)
    if context.order.user is not None and context.order.install_user is None:
        raise NotShareable("this host has no user who installs what jobs share")
    return requirements.listing


def _cache_directory(context: JobContext) -> Path:
    configured = context.order.venv.cache_dir
    cache = Path(configured) if configured else context.directory.parent.parent / "venvs"
    make_passable(cache)
    return cache


def _build_of(environment: Path, *locks: str) -> Build:
    return Build({"VIRTUAL_ENV": str(environment)}, (str(environment / "bin"),), cache_locks=locks)
