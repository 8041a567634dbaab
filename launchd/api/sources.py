"""What `uri` can be (a git repository, a directory, a code artifact), and W&B's words for priorities.

Owns how they are told apart. It only looks at the disk.
"""

import re
from pathlib import Path
from typing import NamedTuple

from ipc.targets import RESOURCES
from launchd.api.errors import LaunchError, suggestion

DEFAULT_SCRIPT = "main.py"

#: W&B's names for the queue, and for the project of a run, where nobody names one.
DEFAULT_QUEUE, DEFAULT_PROJECT = "default", "uncategorized"

#: W&B's words for priorities, with the number that the queue server sorts by.
PRIORITIES = {"critical": 0, "high": 1, "medium": 2, "low": 3}

_URL = re.compile(r"(https?|ssh|git|file|git\+ssh)://\S+", re.IGNORECASE)
_SCP_LIKE = re.compile(r"[\w.-]+@[\w.-]+:\S+")
_RUN_URL = re.compile(r"https?://[^/]+/(?P<entity>[^/]+)/(?P<project>[^/]+)/runs/(?P<run>[^/?#]+)", re.IGNORECASE)


def is_repository(uri: str) -> bool:
    """Whether ``uri`` is the URL of a git repository, `user@host:path` included."""
    return not uri.startswith("-") and bool(_URL.fullmatch(uri) or _SCP_LIKE.fullmatch(uri))


def checked_resource(resource: str) -> str:
    """Return ``resource`` if W&B knows it; raises :class:`LaunchError` with the nearest that it knows."""
    if resource not in RESOURCES:
        raise LaunchError(f"There is no resource {resource!r}. {suggestion(resource, RESOURCES)}")
    return resource


class RunAddress(NamedTuple):
    """A run, as the address of its web page names it."""

    entity: str
    project: str
    run_id: str


def run_address(uri: str) -> RunAddress | None:
    """Return the run whose web page ``uri`` is, as W&B shows it."""
    found = _RUN_URL.match(uri)
    return RunAddress(*found.groups()) if found else None


def has_default_script(directory: Path) -> bool:
    """Return whether a directory has what the agent runs (``python main.py``) where nobody names a command.

    It is left to the agent, which in secure mode takes no command from a submitter.
    """
    return (directory / DEFAULT_SCRIPT).is_file()


def artifact_name(directory: Path) -> str:
    """Name of the code artifact of a directory: W&B takes letters, digits, dash, dot and underscore."""
    return f"code-{re.sub(r'[^A-Za-z0-9._-]+', '-', directory.resolve().name) or 'root'}"
