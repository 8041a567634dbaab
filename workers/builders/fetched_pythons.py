"""Interpreters that uv brings to this host for projects that need another version, where its administrator lets it.

They belong to the user who installs what jobs share, so that no job can change one; uv checks what it fetches against
the hashes of its own list, or of the one that the administrator names. One that was fetched is used again.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from packaging.version import Version

from ipc.errors import BuildError
from ipc.own_uv import own_uv
from workers.builders.interpreters import WantedPython
from workers.builders.tools import Workshop, give_directory, in_words, tool_environment
from workers.context import JobContext
from workers.subprocess_runner import ToolFailed

_DIRECTORY = "pythons"
#: Addresses of the administrator's, which no other tool is told.
_MIRRORS = ("UV_PYTHON_INSTALL_MIRROR", "UV_PYTHON_DOWNLOADS_JSON_URL")


class FetchedPythons:
    """The interpreters that were fetched into the directory ``cache``, for one job."""

    def __init__(self, cache: Path, context: JobContext) -> None:
        self._directory = cache / _DIRECTORY
        self._context = context

    @property
    def may_grow(self) -> bool:
        """Whether another one may be fetched."""
        order = self._context.order
        return order.venv.fetch_pythons and (order.user is None or order.install_user is not None)

    def by_path(self) -> dict[str, str]:
        """Return the versions of the interpreters by their paths, the newest first.

        None is run to say its version: the agent may be root, and they are another user's.
        """
        return {path: str(version) for version, path in sorted(self._found(), reverse=True)}

    def fetch(self, wanted: WantedPython) -> None:
        """Let uv fetch one that fits.

        Raises:
            BuildError: there is none, or it could not be fetched.
            JobCancelled: the job was stopped meanwhile.
        """
        uv = own_uv()
        if uv is None:
            raise BuildError(
                f"Python for {wanted} could not be fetched: that takes uv, which this agent does not have.",
                hint="The administrator installs the extra `venv`, or names an interpreter in launchd.venv.pythons.",
            )
        self._context.progress(f"fetching Python for {wanted}")
        user = self._context.order.install_user
        with suppress(FileExistsError):
            give_directory(self._directory, user)
        mirrors = {name: os.environ[name] for name in _MIRRORS if name in os.environ}
        environment = tool_environment(user, mirrors, proxy_passwords=True)
        environment.update(UV_PYTHON_DOWNLOADS="manual", UV_PYTHON_INSTALL_BIN="0", UV_NO_CACHE="1")
        workshop = Workshop(self._context, user, Path("/"), environment)
        command = (uv, "python", "install", "--install-dir", str(self._directory), "--", wanted.request())
        try:
            workshop.run(command)
        except ToolFailed as error:
            raise BuildError(
                f"Python for {wanted} could not be fetched: {in_words(error)}",
                hint="The administrator names an interpreter in launchd.venv.pythons, or a mirror for uv"
                " (UV_PYTHON_INSTALL_MIRROR).",
                detail=error.output,
            ) from error

    def _found(self) -> Iterator[tuple[Version, str]]:
        # Beside each lies a link with its minor version alone; what begins with a dot is being unpacked.
        for path in self._directory.glob("cpython-*"):
            version = path.name.split("-")[1].partition("+")[0]
            if not path.is_symlink():
                yield Version(version), str(path / "bin" / f"python{'.'.join(version.split('.')[:2])}")
