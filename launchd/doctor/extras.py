"""Which packages of an extra of this distribution are not installed. Nothing of them is loaded."""

from collections.abc import Iterator
from importlib import metadata

from packaging.requirements import Requirement

_DISTRIBUTION = "launchd-agent"


def missing_packages(extra: str | None) -> list[str]:
    """Return the names of packages that the extra brings and that are not here; none without an extra."""
    return [name for name in _packages(extra) if not _is_installed(name)] if extra else []


def _packages(extra: str) -> Iterator[str]:
    for text in metadata.requires(_DISTRIBUTION) or ():
        requirement = Requirement(text)
        if requirement.marker is not None and requirement.marker.evaluate({"extra": extra}):
            yield requirement.name


def _is_installed(name: str) -> bool:
    try:
        metadata.version(name)
    except metadata.PackageNotFoundError:
        return False
    return True
