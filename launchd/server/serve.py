"""Running the server: the socket, the signals, a stop within two seconds. Owns uvicorn's settings."""

import importlib.util
import logging
import os
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType

import uvicorn
from starlette.applications import Starlette

from launchd.daemon.rlimits import raise_limit
from launchd.server import bootstrap
from launchd.server.app import create_app
from launchd.server.errors import CannotStart
from launchd.server.http.connection import HttpConnection
from launchd.server.metrics_endpoint import listen_for_metrics
from launchd.server.settings import ServerSettings

logger = logging.getLogger(__name__)

_BACKLOG = 1024
_SWITCH_SECONDS = 0.0005
"""The event loop and the store's threads take turns; with Python's 5 ms that would be most of a claim's latency."""


def serve(settings: ServerSettings, ready: Callable[[str], None] | None = None) -> None:
    """Serve until SIGTERM or SIGINT. `ready` is called with the base URL once requests are answered.

    Raises:
        CannotStart: address or data directory cannot be used.
    """
    with ExitStack() as opened:
        opened.enter_context(bootstrap.lock(settings))
        listening = opened.enter_context(_listen(settings))
        metrics = listen_for_metrics(settings)
        if metrics is not None:
            opened.enter_context(metrics)
        sys.setswitchinterval(_SWITCH_SECONDS)
        raise_limit()
        app = create_app(settings, metrics)
        server = _Server(app, settings, ready)
        server.run(sockets=[listening])


def _listen(settings: ServerSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        address = f"{settings.host}:{settings.port}"
        # A name that is not found has a number that is none of the system's.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else "there is no such host"
        raise CannotStart(f"The queue server cannot listen on {address}: {reason}.") from error


def base_url(listening: socket.socket) -> str:
    """URL under which a client on this machine reaches the socket."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(uvicorn.Server):
    """Uvicorn that announces readiness, answers waiting requests on a stop, and exits with code 0."""

    def __init__(self, app: Starlette, settings: ServerSettings, ready: Callable[[str], None] | None) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop" if importlib.util.find_spec("uvloop") else "asyncio",
                http=HttpConnection,
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                forwarded_allow_ips=settings.forwarded_allow_ips,
                timeout_keep_alive=settings.idle_seconds,
                timeout_graceful_shutdown=max(1, round(settings.stop_grace_seconds)),
            )
        )
        self._app = app.state.app_state
        self._ready = ready

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002 - uvicorn's signature
        """Stop; at the second signal, at once."""
        # Not kept for uvicorn to raise again afterwards: an orderly stop is exit code 0.
        self.force_exit = self.should_exit
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and sockets:
            url = base_url(sockets[0])
            logger.info("The queue server is ready.", extra={"url": url})
            if self._ready is not None:
                self._ready(url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._app.stop()
        await super().shutdown(sockets)
        logger.info("The queue server has stopped.")
