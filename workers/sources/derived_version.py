"""Whether a project derives its version from the tags of its repository. Follows no link of the fetched tree."""

import re
from pathlib import Path

from ipc.plain_files import open_plain

_FILES = ("pyproject.toml", "setup.cfg", "setup.py")
_MAX_BYTES = 1 << 20

#: Packages that ask git for the version, as they are named in those files.
_TOOLS = re.compile(
    rb"setuptools[-_]scm|hatch[-_]vcs|versioningit|versioneer|dunamai|poetry[-_]dynamic[-_]versioning|\bpbr\b"
    rb"|uv[-_]dynamic[-_]versioning|setuptools[-_]git[-_]versioning|flit[-_]scm|source *= *[\"']scm[\"']"
)


def derives_version(project: Path) -> bool:
    """Return whether the project in this directory names a package that derives versions from tags."""
    return any(_TOOLS.search(_content(project / name)) for name in _FILES)


def _content(path: Path) -> bytes:
    try:
        with open_plain(path) as file:
            return file.read(_MAX_BYTES)
    except OSError:
        return b""
