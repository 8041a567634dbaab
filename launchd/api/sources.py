"""Sources that a `uri` can name (repository, directory, run), and W&B's names of queues and priorities.

Owns how sources are told apart. It reads the disk, and asks no server.
"""

import re
from pathlib import Path
from typing import NamedTuple

from ipc.targets import RESOURCES
from launchd.api.errors import LaunchError, suggestion

DEFAULT_SCRIPT = "main.py"

#: W&B's default names of a queue, and of the project of a run.
DEFAULT_QUEUE, DEFAULT_PROJECT = "default", "uncategorized"

#: W&B's names of priorities, with the number that the queue server sorts by.
PRIORITIES = {"critical": 0, "high": 1, "medium": 2, "low": 3}

_URL = re.compile(r"(https?|ssh|git|file|git\+ssh)://\S+", re.IGNORECASE)
_SCP_LIKE = re.compile(r"[\w.-]+@[\w.-]+:\S+")
_RUN_URL = re.compile(r"https?://[^/]+/(?P<entity>[^/]+)/(?P<project>[^/]+)/runs/(?P<run>[^/?#]+)", re.IGNORECASE)


def is_repository(uri: str) -> bool:
    """Return whether ``uri`` is the URL of a git repository, also in the form `user@host:path`."""
    return not uri.startswith("-") and bool(_URL.fullmatch(uri) or _SCP_LIKE.fullmatch(uri))


def checked_resource(resource: str) -> str:
    """Return ``resource`` if it is one of W&B's; raises :class:`LaunchError` with the nearest of them."""
    if resource not in RESOURCES:
        raise LaunchError(f"There is no resource {resource!r}. {suggestion(resource, RESOURCES)}")
    return resource


class RunAddress(NamedTuple):
    """The parts of a run's address, the URL of its web page."""

    entity: str
    project: str
    run_id: str


def run_address(uri: str) -> RunAddress | None:
    """Return the parts of ``uri`` if it is the address of a run's page in W&B's form, else ``None``."""
    found = _RUN_URL.match(uri)
    return RunAddress(*found.groups()) if found else None


def has_default_script(directory: Path) -> bool:
    """Return whether a directory has ``main.py``, which the agent runs where a job names no command.

    The command is not filled in here: in secure mode, the agent refuses one from a submitter.
    """
    return (directory / DEFAULT_SCRIPT).is_file()


def artifact_name(directory: Path) -> str:
    """Return the name of a directory's code artifact: letters, digits, dash, dot and underscore, W&B's rule."""
    return f"code-{re.sub(r'[^A-Za-z0-9._-]+', '-', directory.resolve().name) or 'root'}"
