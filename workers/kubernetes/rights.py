"""What the agent asks of a cluster in the namespace of its jobs, as the least that a role has to grant. Data.

`packaging/kubernetes` grants this and no more; `launchd doctor` and the agent's start ask the cluster for each of them.
"""

from typing import NamedTuple


class Right(NamedTuple):
    """Verbs on a kind of object; ``group`` is empty for the API's core, ``resource`` may have a part behind a slash."""

    group: str
    resource: str
    verbs: tuple[str, ...]


RIGHTS = (
    Right("batch", "jobs", ("create", "delete", "get", "list", "watch")),
    Right("", "pods", ("delete", "deletecollection", "get", "list", "watch")),
    Right("", "pods/log", ("get",)),
    Right("", "secrets", ("create", "delete", "patch")),
)
