"""`POST /sdk/otel/v1/...`, where wandb 0.28 and later tell W&B how they are used: taken, and not kept."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launchd.server.container import AppState

TELEMETRY_PATH = "/sdk/otel/v1/{signal}"


def telemetry_route(app: AppState) -> Route:
    """The route, which needs no key. A client that is told that there is none repeats what it sends again and again."""

    async def take(request: Request) -> Response:
        await app.bodies.discard(request, app.settings.max_body_bytes)
        # The answer of OpenTelemetry's protocol, whose message is empty where nothing was refused.
        return Response(media_type="application/x-protobuf")

    return Route(TELEMETRY_PATH, take, methods=["POST"])
