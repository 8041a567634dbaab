"""Finds the Python for a project: an interpreter of this host, the usual one where it fits, or a version for an image.

What a project asks for is `requires-python` of its `pyproject.toml`, and the version that a job was made with.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from ipc.errors import BuildError

_PROBE = "import platform; print(platform.python_version())"
_PROBE_SECONDS = 20.0

#: Minor versions of Python 3 that are looked for on the search path, the newest last.
_MINORS = range(8, 31)

#: No minor version had as many releases.
_PATCHES = 40


class NoFittingPython(BuildError):
    """This host has no interpreter that will do."""


class WantedPython(msgspec.Struct, frozen=True):
    """What a project asks for: ``specifier`` as in PEP 440, ``version`` as `3.11`; None where it does not care."""

    specifier: str | None = None
    version: str | None = None

    def fits(self, version: str) -> bool:
        """Return whether an interpreter of ``version`` will do; raises :class:`BuildError` where that has no answer."""
        try:
            in_range = SpecifierSet(self.specifier or "").contains(version, prereleases=True)
        except InvalidSpecifier as error:
            raise BuildError(
                f"requires-python in the project's pyproject.toml, {self.specifier!r}, is no range of versions.",
                hint="Correct it, as in >=3.11.",
            ) from error
        return in_range and (self.version is None or _minor_of(version) == self.version)

    def request(self) -> str:
        """Return the same as a range in PEP 440."""
        version = f"=={self.version}.*" if self.version else ""
        return ",".join(filter(None, (str(SpecifierSet(self.specifier or "")), version)))

    def __str__(self) -> str:
        asked = [f"requires-python {self.specifier}"] if self.specifier else []
        return " and ".join([*asked, *([f"the recorded version {self.version}"] if self.version else [])])


def find_python(
    wanted: WantedPython, usual: str, others: Sequence[str], search_path: str, fetched: Mapping[str, str] | None = None
) -> str:
    """Return an interpreter that fits: ``usual``, one of ``others``, one on ``search_path``, or of ``fetched``.

    The versions of ``fetched`` are known; the others are asked for theirs.

    Raises:
        NoFittingPython: this host has none.
    """
    if wanted == WantedPython():
        return usual
    seen: dict[str, str] = {}
    known = fetched or {}
    for path in (*_candidates(usual, others, search_path), *known):
        version = known.get(path) or _version_of(path)
        if version is not None and wanted.fits(version):
            return path
        if version is not None:
            seen[_minor_of(version)] = path
    raise NoFittingPython(
        f"The project needs another Python than this host has: {wanted}. The host has {', '.join(seen) or 'none'}.",
        hint="The administrator names an interpreter in launchd.venv.pythons, or lets uv fetch one"
        " (launchd.venv.fetch_pythons), or the job is made for another version.",
    )


def choose_minor(wanted: WantedPython, usual: str) -> str:
    """Return the version for a project's image, such as ``3.12``: ``usual`` where it fits, else the nearest that does.

    Raises:
        BuildError: none does.
    """
    own = int(usual.split(".")[1])
    nearest = sorted(_MINORS, key=lambda minor: (abs(minor - own), minor < own))
    for minor in (f"3.{minor}" for minor in nearest):
        if fits_minor(wanted, minor):
            return minor
    raise BuildError(
        f"There is no Python for the project's image, which is to fit {wanted}.",
        hint="Correct requires-python in its pyproject.toml, or make the job anew with a version that it allows.",
    )


def fits_minor(wanted: WantedPython, minor: str) -> bool:
    """Return whether some release of a version such as ``3.12`` will do."""
    return any(wanted.fits(f"{minor}.{patch}") for patch in range(_PATCHES))


def _candidates(usual: str, others: Sequence[str], search_path: str) -> Iterator[str]:
    yield usual
    yield from others
    for minor in reversed(_MINORS):
        found = shutil.which(f"python3.{minor}", path=search_path)
        if found is not None:
            yield found


def _minor_of(version: str) -> str:
    return ".".join(version.split(".")[:2])


@cache
def _version_of(path: str) -> str | None:
    """Return the version of an interpreter, None for what is none, such as the placeholder of a version manager."""
    if path == sys.executable:
        return ".".join(map(str, sys.version_info[:3]))
    try:
        done = subprocess.run(
            [path, "-I", "-S", "-c", _PROBE],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_PROBE_SECONDS, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
