"""Reads how a cluster is reached, by the SDK: a kubeconfig and its context, or the service account of a pod.

Owns the one place where keys of a kubeconfig are on disk for a moment: the SDK writes them into files, which are read
and removed before anything is asked. It is read in a fork, as that would take a worker a megabyte for good.
"""

import logging
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml
from kubernetes import config
from kubernetes.config import kube_config

from ipc.errors import HostError, RunnerUnavailable
from ipc.temporary import KUBERNETES_PREFIX
from workers.short_fork import NoAnswer, answered_elsewhere

#: Where a pod finds its own namespace.
NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
DEFAULT_NAMESPACE = "default"
#: How long it may take to read a kubeconfig: programs that give tokens are run, in seconds.
READ_SECONDS = 60.0

_HINT = "Set launchd.kubernetes.config_file and launchd.kubernetes.context, or run the agent in the cluster."
_ERRORS = (config.ConfigException, OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError)


class Route(msgspec.Struct, frozen=True):
    """How a cluster is reached. Certificates and key are in PEM; ``expires`` is in seconds since the epoch."""

    host: str
    namespace: str = DEFAULT_NAMESPACE
    authority: str | None = None
    certificate: str | None = None
    key: str | None = None
    verifies: bool = True
    server_name: str | None = None
    proxy: str | None = None
    #: The value of the header.
    authorization: str | None = None
    expires: float | None = None


class _Told(msgspec.Struct, frozen=True):
    """What a fork found: a route, or why there is none."""

    route: Route | None = None
    why: str = ""


class _Settings:
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
        #: The SDK's, for a token that is replaced where it lies.
        self.refresh_api_key_hook: Callable[[_Settings], None] | None = None

    def authorization(self) -> str | None:
        """Return the value of the header, as it is now."""
        if self.refresh_api_key_hook is not None:
            self.refresh_api_key_hook(self)
        # The second name is that of earlier versions of the SDK.
        return self.api_key.get("BearerToken") or self.api_key.get("authorization") or None

    def route(self, namespace: str, expires: float | None = None) -> Route:
        """Return what was written down, without the files."""
        return Route(
            self.host.rstrip("/"),
            namespace,
            _text(self.ssl_ca_cert),
            _text(self.cert_file),
            _text(self.key_file),
            self.verify_ssl,
            self.tls_server_name,
            self.proxy,
            self.authorization(),
            expires,
        )


def read_kubeconfig(path: str, context: str | None) -> Route:
    """Return the route that the kubeconfig ``path`` has for ``context``, or for its current one.

    Raises:
        HostError: it cannot be used, or has no such context.
    """
    try:
        # Made here, so that it goes also where the fork is ended.
        with _directory_for_keys() as keys:
            answer = answered_elsewhere(lambda: msgspec.json.encode(_told(path, context, keys)), READ_SECONDS)
    except (NoAnswer, OSError) as error:
        raise HostError(
            f"The kubeconfig {path} of this host cannot be read: {_words(error)}.",
            hint="A program that it names for its tokens (exec) may hang: run it by hand, as the agent's user.",
        ) from error
    told = msgspec.json.decode(answer, type=_Told)
    if told.route is None:
        raise HostError(f"The kubeconfig {path} of this host cannot be used: {_words(told.why)}.", hint=_HINT)
    return told.route


@contextmanager
def _directory_for_keys() -> Iterator[str]:
    """Give a new directory of this user's alone, for as long as the block lasts; raises :class:`OSError`."""
    # The library's own way runs more, on pages of memory that each worker would have for itself.
    path = Path(tempfile.gettempdir(), f"{KUBERNETES_PREFIX}{secrets.token_hex(8)}")
    path.mkdir(mode=0o700)
    try:
        yield str(path)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def read_service_account() -> tuple[Route, Callable[[], str | None]]:
    """Return the route from a pod to its own cluster, and what gives the header's value: the token is replaced there.

    Raises:
        HostError: this is no pod, or it has no service account.
    """
    settings = _Settings()
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
        namespace = NAMESPACE_FILE.read_text().strip() if NAMESPACE_FILE.exists() else DEFAULT_NAMESPACE
        return settings.route(namespace), lambda: _present_token(settings)
    except _ERRORS as error:
        raise HostError(
            "There is no kubeconfig for the agent's user ($KUBECONFIG, ~/.kube/config), and no service account of a"
            f" pod: {_words(error)}.",
            hint=_HINT,
        ) from error


def _present_token(settings: _Settings) -> str | None:
    """Return the header's value, as it is now; raises :class:`RunnerUnavailable`."""
    try:
        return settings.authorization()
    except _ERRORS as error:
        raise RunnerUnavailable(f"The token of this pod's service account cannot be read: {_words(error)}.") from error


def unusable(why: object) -> HostError:
    """Return the error for a cluster to which this host knows no way."""
    return HostError(f"The Kubernetes cluster cannot be reached from this host: {_words(why)}.", hint=_HINT)


def _words(why: object) -> str:
    return " ".join(str(why).split()).rstrip(".")


def _told(path: str, context: str | None, keys: str) -> _Told:
    try:
        return _Told(_read(path, context, keys))
    except OSError as error:
        return _Told(why=": ".join(str(part) for part in (error.strerror, error.filename) if part) or str(error))
    except _ERRORS as error:
        return _Told(why=str(error))


def _read(path: str, context: str | None, keys: str) -> Route:
    if not any(Path(part).exists() for part in path.split(os.pathsep)):
        raise config.ConfigException("there is no such file")
    merged = kube_config.KubeConfigMerger(path).config  # type: ignore[no-untyped-call]
    if merged is None:
        raise config.ConfigException("the kubeconfig is empty")
    _require_context(merged.value, context)
    settings = _Settings()
    loader = kube_config.KubeConfigLoader(  # type: ignore[no-untyped-call]
        config_dict=merged, active_context=context, temp_file_path=keys
    )
    with _complaints() as complaints:
        loader.load_and_set(settings)  # type: ignore[no-untyped-call]
    if complaints:
        raise config.ConfigException(f"{_program(loader)}: {complaints[-1]}")
    # What ends is read again as a whole: certificates may end too.
    settings.refresh_api_key_hook = None
    return settings.route(_namespace(loader), _expires(loader))


def _require_context(merged: dict[str, Any], context: str | None) -> None:
    """Raise where there is no such context, with the names of those that there are."""
    wanted = context or merged.get("current-context")
    names = [str(one["name"]) for one in merged.get("contexts") or ()]
    if wanted not in names:
        lacks = f"it has no context {wanted}" if wanted else "it says no current context"
        raise config.ConfigException(f"{lacks}, and has the contexts: {', '.join(names) or 'none'}")


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collect what the SDK logs as an error and goes on without: credentials that a program did not give."""
    heard = _Heard(logging.ERROR)
    root = logging.getLogger()
    before, root.handlers = root.handlers, [heard]
    try:
        yield heard.said
    finally:
        root.handlers = before


class _Heard(logging.Handler):
    def __init__(self, level: int) -> None:
        super().__init__(level)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Take a message."""
        self.said.append(record.getMessage())


def _program(loader: Any) -> str:
    """Return which program of the context's user gives its tokens."""
    user = loader._user
    return f"the program {user['exec']['command']} of its user" if user and "exec" in user else "its user"


def _namespace(loader: Any) -> str:
    return str(loader.current_context["context"].get("namespace") or DEFAULT_NAMESPACE)


def _expires(loader: Any) -> float | None:
    expiry = getattr(loader, "expiry", None)
    return None if expiry is None else float(expiry.timestamp())


def _text(path: str | None) -> str | None:
    return None if path is None else Path(path).read_text()
