"""What the agent asks of a cluster in the namespace of its jobs, as the least that a role has to grant. Data.

`packaging/kubernetes` grants this and no more; `launchd doctor` and the agent's start ask the cluster for each of
:data:`RIGHTS`.
"""

from typing import NamedTuple


class Right(NamedTuple):
    """Verbs on a kind of object; ``group`` is empty for the API's core, ``resource`` may have a part behind a slash."""

    group: str
    resource: str
    verbs: tuple[str, ...]


RIGHTS = (
    Right("batch", "jobs", ("create", "delete", "get", "list", "watch")),
    Right("", "pods", ("deletecollection", "list", "watch")),
    Right("", "pods/log", ("get",)),
    Right("", "secrets", ("create", "delete", "patch")),
)

#: What tells why a job waits where no status does; jobs run without it.
EVENT_RIGHTS = (Right("", "events", ("list",)),)

#: What images that are built in the cluster need, in the namespace of builds where that is another one.
BUILD_RIGHTS = (
    Right("batch", "jobs", ("create", "delete", "get")),
    Right("", "pods", ("list",)),
    Right("", "pods/log", ("get",)),
    Right("", "secrets", ("create", "delete", "patch")),
)

_BESIDE = ("create", "delete", "get", "patch")
#: What objects beside jobs need, of the kinds that are granted as it is; `packaging/kubernetes/services` grants this.
SERVICE_RIGHTS = (
    Right("", "pods", _BESIDE),
    Right("", "services", _BESIDE),
    Right("", "endpoints", ("get",)),
    Right("apps", "deployments", _BESIDE),
)
#: Likewise for claims, where the policy grants them; `packaging/kubernetes/claims` does.
CLAIM_RIGHTS = (Right("", "persistentvolumeclaims", _BESIDE),)
