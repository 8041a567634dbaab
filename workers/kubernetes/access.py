"""What a cluster is called in the settings, and the way to it that is ready for use."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from workers.kubernetes.connection import ApiConnection, tls_context
from workers.kubernetes.kubeconfig import Route, read_kubeconfig, read_service_account, unusable

#: Credentials are replaced so long before their end, or after half of their time, in seconds.
RENEWED_BEFORE_SECONDS = 300.0


class Access(msgspec.Struct, frozen=True):
    """A cluster: ``config_file`` and ``context`` of None are the usual ones of the user who asks."""

    config_file: str | None = None
    context: str | None = None


class Connection(msgspec.Struct, frozen=True):
    """A way to a cluster that is ready for use.

    ``open`` makes a connection, ``authorization`` gives the header's value, ``namespace`` is that of the context. From
    ``renewed_at`` on, by the monotonic clock, the way is to be read again.
    """

    open: Callable[[], ApiConnection]
    authorization: Callable[[], str | None]
    namespace: str
    renewed_at: float | None = None


def connect(access: Access) -> Connection:
    """Return a connection to the cluster, which is not asked yet.

    Raises:
        HostError: there is no kubeconfig, it cannot be used, or it has no such context.
    """
    path = config_path(access)
    if path is None:
        route, authorization = read_service_account()
        return Connection(_opener(route), authorization, route.namespace)
    route = read_kubeconfig(path, access.context)
    return Connection(_opener(route), lambda: route.authorization, route.namespace, _renewed_at(route.expires))


def _opener(route: Route) -> Callable[[], ApiConnection]:
    try:
        tls = tls_context(route)
        # A wrong address is told at once.
        ApiConnection(route, tls)
    except (OSError, ValueError, KeyError) as error:
        raise unusable(error) from error
    return lambda: ApiConnection(route, tls)


def config_path(access: Access) -> str | None:
    """Return the path of the kubeconfig, ``None`` for a pod's own service account."""
    if access.config_file is not None:
        return access.config_file
    usual = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    return usual if all(Path(part).exists() for part in usual.split(os.pathsep)) else None


def _renewed_at(expires: float | None) -> float | None:
    if expires is None:
        return None
    left = expires - time.time()
    return time.monotonic() + left - min(RENEWED_BEFORE_SECONDS, left / 2)
