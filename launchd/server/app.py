"""The web application: its routes, its lifespan and the response to each kind of error."""

import logging
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launchd.server import bootstrap
from launchd.server.container import AppState, build_app_state
from launchd.server.errors import ServerError, TooManyRequests, Unauthorized
from launchd.server.gql.endpoint import GraphQLEndpoint
from launchd.server.gql.schema import build_schema
from launchd.server.http.any_origin import AnyOrigin
from launchd.server.http.measured_requests import MeasuredRequests
from launchd.server.http.other_sites import OtherSites
from launchd.server.http.responses import error_response, json_response
from launchd.server.metrics_endpoint import Endpoint, make_endpoint
from launchd.server.routes.artifacts import storage_routes
from launchd.server.routes.by_digest import digest_route
from launchd.server.routes.file_packs import pack_routes
from launchd.server.routes.outputs import output_routes
from launchd.server.routes.pages import page, page_routes, wants_page
from launchd.server.routes.runs import run_routes
from launchd.server.routes.telemetry import telemetry_route
from launchd.server.settings import ServerSettings

logger = logging.getLogger(__name__)


def create_app(settings: ServerSettings, metrics: socket.socket | None = None) -> Starlette:
    """The queue server as an ASGI application over a prepared data directory. `app.state.app_state` holds its parts.

    `metrics` is the listening socket of the metrics endpoint, if there is to be one.

    Raises:
        CannotStart: the data directory cannot be used.
    """
    state = build_app_state(settings, bootstrap.prepare(settings))
    app = Starlette(
        routes=[
            Route("/healthz", _healthz, methods=["GET"]),
            Route("/graphql", _graphql(state), methods=["POST"]),
            *storage_routes(state),
            *pack_routes(state),
            digest_route(state),
            *run_routes(state),
            *output_routes(state),
            telemetry_route(state),
            *page_routes(),
        ],
        exception_handlers={
            ServerError: _server_error,
            TooManyRequests: _too_many,
            Unauthorized: _unauthorized,
            HTTPException: _http_error,
            Exception: _unexpected,
        },
        middleware=[
            Middleware(MeasuredRequests, measures=state.measures),
            Middleware(OtherSites),
            Middleware(AnyOrigin),
        ],
        lifespan=_lifespan(state, make_endpoint(state, metrics) if metrics is not None else None),
    )
    app.state.app_state = state
    return app


def _graphql(state: AppState) -> Callable[[Request], Awaitable[Response]]:
    endpoint = GraphQLEndpoint(build_schema(), state)

    async def graphql(request: Request) -> Response:
        return await endpoint.answer(request)

    return graphql


def _lifespan(state: AppState, metrics: Endpoint | None) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        state.start()
        if metrics is not None:
            metrics.start()
        yield
        if metrics is not None:
            metrics.close()
        state.stop()
        state.database.close()

    return lifespan


async def _healthz(_: Request) -> Response:
    return json_response(200, {"status": "ok"})


async def _server_error(_: Request, error: Exception) -> Response:
    return error_response(getattr(error, "status", 500), str(error))


async def _too_many(_: Request, error: Exception) -> Response:
    response = error_response(TooManyRequests.status, str(error))
    response.headers["Retry-After"] = str(getattr(error, "retry_after", 1))
    return response


async def _unauthorized(_: Request, error: Exception) -> Response:
    response = error_response(Unauthorized.status, str(error))
    response.headers["WWW-Authenticate"] = 'Basic realm="launchd"'
    return response


async def _http_error(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    if status == 404 and wants_page(request):
        return page(404)
    return error_response(status, f"This queue server has nothing at this address ({getattr(error, 'detail', '')}).")


async def _unexpected(_: Request, error: Exception) -> Response:
    logger.error("A request failed.", exc_info=error)
    return error_response(500, "The queue server failed on this request; its log says why.")
