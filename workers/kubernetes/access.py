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

    ``open`` makes a connection, ``authorization`` gives the header's value, ``namespace`` is that of the context,
    ``address`` that of the API. From ``renewed_at`` on, by the monotonic clock, the way is to be read again.
    ``written`` is when each of the ``files`` that it was read from was written, in nanoseconds.
    """

    open: Callable[[], ApiConnection]
    authorization: Callable[[], str | None]
    namespace: str
    address: str
    renewed_at: float | None = None
    files: tuple[str, ...] = ()
    written: tuple[int, ...] = ()

    def is_outdated(self) -> bool:
        """Return whether one of the files was written since."""
        return _written(self.files) != self.written


def connect(access: Access) -> Connection:
    """Return a connection to the cluster, which is not asked yet.

    Raises:
        HostError: there is no kubeconfig, it cannot be used, or it has no such context.
    """
    path = config_path(access)
    if path is None:
        route, authorization = read_service_account()
        return Connection(_opener(route), authorization, route.namespace, route.host)
    files = tuple(path.split(os.pathsep))
    # Before it is read: what is written meanwhile makes it outdated.
    written = _written(files)
    route = read_kubeconfig(path, access.context)
    return Connection(
        _opener(route),
        lambda: route.authorization,
        route.namespace,
        route.host,
        _renewed_at(route.expires),
        files,
        written,
    )


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
    # As kubectl does: of several, those that are there.
    return usual if any(part and Path(part).exists() for part in usual.split(os.pathsep)) else None


def _written(files: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(Path(file).stat().st_mtime_ns if Path(file).exists() else 0 for file in files)


def _renewed_at(expires: float | None) -> float | None:
    if expires is None:
        return None
    left = expires - time.time()
    return time.monotonic() + left - min(RENEWED_BEFORE_SECONDS, left / 2)
