"""One connection to the API of a cluster, straight or through a proxy.

The standard library's, on purpose: the first request by urllib3 takes each worker a megabyte of its own.
"""

import base64
import http.client
import os
import select
import socket
import ssl
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass_environment  # type: ignore[attr-defined]

from workers.kubernetes.kubeconfig import Route

CONNECT_SECONDS = 10.0

#: A connection that is silent for a while, as one that follows a log or a watch, is looked after by the kernel: within
#: a minute it is known to be dead.
_KEPT_ALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 30),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3),
)
_PORTS = {"http": http.client.HTTP_PORT, "https": http.client.HTTPS_PORT}


class ApiConnection(http.client.HTTPConnection):
    """A connection on ``route``, which is made with its first request; ``tls`` is None for plain HTTP.

    Raises:
        ValueError: an address of the route is none.
    """

    def __init__(self, route: Route, tls: ssl.SSLContext | None) -> None:
        target = urlsplit(route.host)
        proxy = proxy_of(route)
        near = proxy or target
        super().__init__(near.hostname or "", near.port or _PORTS[near.scheme], timeout=CONNECT_SECONDS)
        self._tls = tls
        self._server_name = route.server_name or target.hostname
        #: What goes before each path.
        self._root = target.path
        self._headers: dict[str, str] = {}
        if proxy is not None and tls is not None:
            self.set_tunnel(target.hostname or "", target.port or _PORTS[target.scheme], _credentials(proxy))
        elif proxy is not None:
            self._root = route.host
            self._headers = _credentials(proxy)

    def connect(self) -> None:
        """Connect, by TLS where the API wants that."""
        super().connect()
        for option in _KEPT_ALIVE:
            self.sock.setsockopt(*option)
        if self._tls is not None:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._server_name)

    def ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], seconds: float | None
    ) -> http.client.HTTPResponse:
        """Return the answer to a request, as far as its headers; it may be silent for ``seconds``.

        Raises:
            OSError, http.client.HTTPException: there is none.
        """
        if self.sock is None:
            self.connect()
        self.sock.settimeout(seconds)
        self.request(method, self._root + path, body, self._headers | headers)
        return self.getresponse()

    def is_usable(self) -> bool:
        """Return whether another request may be sent: what says something unasked has ended, or is of no use."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock.fileno(), select.POLLIN)
        return not poll.poll(0)


def proxy_of(route: Route) -> SplitResult | None:
    """Return the proxy that the kubeconfig names, or the environment as the SDK takes it.

    Raises:
        ValueError: it is of a kind that is not supported.
    """
    text = route.proxy or _environment_proxy(route.host)
    if not text:
        return None
    proxy = urlsplit(text)
    if proxy.scheme != "http":
        raise ValueError(f"the proxy of the cluster is used by http:// alone, and not by {proxy.scheme}://")
    return proxy


def is_about_certificates(error: Exception) -> bool:
    """Return whether a connection failed for a certificate, or for what there is to check one by."""
    ended = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)
    return isinstance(error, ssl.SSLError) and not isinstance(error, ended)


def tls_context(route: Route) -> ssl.SSLContext | None:
    """Return what the certificates of ``route`` come to, ``None`` for plain HTTP.

    Raises:
        OSError: a certificate or the key is none.
    """
    if not route.host.startswith("https:"):
        return None
    context = ssl.create_default_context(cadata=route.authority)
    if not route.verifies:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if route.certificate is not None:
        _bring_certificate(context, route.certificate, route.key or "")
    return context


def _bring_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Have ``context`` show a certificate. OpenSSL reads files alone: this one is in memory."""
    descriptor = os.memfd_create("certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{certificate}\n{key}")
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")


def _environment_proxy(host: str) -> str | None:
    proxies, parts = getproxies_environment(), urlsplit(host)
    if not proxies or proxy_bypass_environment(parts.hostname or "", proxies):
        return None
    found: str | None = proxies.get(parts.scheme)
    return found


def _credentials(proxy: Any) -> dict[str, str]:
    if proxy.username is None:
        return {}
    text = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(text.encode()).decode()}"}
