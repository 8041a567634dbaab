"""How a cluster is reached: the kubeconfig and its context, or the service account of the pod that the agent runs in.

Owns the one place where keys of a kubeconfig are on disk for a moment: the SDK writes them into files, which are read
and removed before anything is asked.
"""

import os
import socket
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

import msgspec
import urllib3
import yaml
from kubernetes import config
from kubernetes.config import kube_config

from ipc.errors import HostError

#: Where a pod finds its own namespace.
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE = "default"

#: A connection that is silent for a while, as one that follows a log or a watch, is looked after by the kernel: within
#: a minute it is known to be dead.
_KEPT_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)

_HINT = "Set launchd.kubernetes.config_file and launchd.kubernetes.context, or run the agent in the cluster."


class Access(msgspec.Struct, frozen=True):
    """A cluster: ``config_file`` and ``context`` of None are the usual ones of the user who asks."""

    config_file: str | None = None
    context: str | None = None


class Connection(msgspec.Struct, frozen=True):
    """A way to a cluster that is ready for use: ``host`` is its URL, ``authorization`` gives the header's value."""

    host: str
    pool: Any
    authorization: Callable[[], str | None]


class Settings:
    """What the SDK writes down of a cluster; its own class for that, of all settings of a client, costs half a MiB."""

    def __init__(self) -> None:
        self.host = ""
        self.ssl_ca_cert: str | None = None
        self.cert_file: str | None = None
        self.key_file: str | None = None
        self.verify_ssl = True
        self.tls_server_name: str | None = None
        self.proxy: str | None = None
        self.api_key: dict[str, str] = {}
        #: The SDK's, where credentials expire: it replaces those that have.
        self.refresh_api_key_hook: Callable[[Settings], None] | None = None

    def authorization(self) -> str | None:
        """Return the value of the header; a token that has expired is fetched again first."""
        if self.refresh_api_key_hook is not None:
            self.refresh_api_key_hook(self)
        # The second name is that of earlier versions of the SDK.
        return self.api_key.get("BearerToken") or self.api_key.get("authorization") or None


def connect(access: Access) -> Connection:
    """Return a connection to the cluster, which is not asked yet.

    Raises:
        HostError: there is no kubeconfig, it cannot be used, or it has no such context.
    """
    settings = Settings()
    with tempfile.TemporaryDirectory(prefix="launchd-kubernetes-") as keys:
        try:
            _load(settings, access, keys)
            pool = _pool(settings)
        except (config.ConfigException, OSError, ssl.SSLError, ValueError, KeyError, yaml.YAMLError) as error:
            why = " ".join(str(error).split())
            raise HostError(f"The Kubernetes cluster cannot be reached from this host: {why}.", hint=_HINT) from error
        finally:
            kube_config._cleanup_temp_files()  # type: ignore[no-untyped-call]
    return Connection(settings.host.rstrip("/"), pool, settings.authorization)


def _load(settings: Settings, access: Access, keys: str) -> None:
    path = config_path(access)
    if path is None:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    else:
        config.load_kube_config(  # type: ignore[no-untyped-call]
            config_file=path,
            context=access.context,
            client_configuration=settings,
            persist_config=False,
            temp_file_path=keys,
        )


def config_path(access: Access) -> str | None:
    """Return the path of the kubeconfig, ``None`` for a pod's own service account."""
    if access.config_file is not None:
        return access.config_file
    usual = os.environ.get("KUBECONFIG") or str(Path("~/.kube/config").expanduser())
    return usual if all(Path(part).exists() for part in usual.split(os.pathsep)) else None


def usual_namespace(access: Access) -> str:
    """Return the namespace of the context, or of the agent's own pod; ``default`` where neither names one.

    Raises:
        HostError: there is no kubeconfig that can be read, or it has no such context.
    """
    path = config_path(access)
    try:
        if path is None:
            return NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else DEFAULT_NAMESPACE
        contexts, active = config.list_kube_config_contexts(config_file=path)  # type: ignore[no-untyped-call]
        chosen = next((one for one in contexts if one["name"] == access.context), active)
        return str(chosen["context"].get("namespace") or DEFAULT_NAMESPACE)
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        why = " ".join(str(error).split())
        raise HostError(f"The kubeconfig of this host cannot be used: {why}.", hint=_HINT) from error


def _pool(settings: Settings) -> urllib3.PoolManager:
    arguments: dict[str, Any] = {
        "ssl_context": _ssl_context(settings) if settings.host.startswith("https:") else None,
        "socket_options": [*urllib3.connection.HTTPConnection.default_socket_options, *_KEPT_ALIVE],
        "retries": False,
        "maxsize": 2,
    }
    if settings.tls_server_name:
        arguments["server_hostname"] = settings.tls_server_name
        arguments["assert_hostname"] = settings.tls_server_name
    proxy = settings.proxy or _environment_proxy(settings.host)
    if proxy:
        return urllib3.ProxyManager(proxy, **arguments)
    return urllib3.PoolManager(**arguments)


def _environment_proxy(host: str) -> str | None:
    """Return the proxy that the environment names for ``host``, as the SDK takes it."""
    proxies, parts = getproxies_environment(), urlsplit(host)
    if not proxies or proxy_bypass_environment(parts.hostname or "", proxies):
        return None
    return proxies.get(parts.scheme)


def _ssl_context(settings: Settings) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.ssl_ca_cert)
    if not settings.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if settings.cert_file:
        context.load_cert_chain(settings.cert_file, settings.key_file)
    return context
