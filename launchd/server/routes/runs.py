"""`POST /files/.../file_stream`, and upload and download of run files by signed links."""

import asyncio
import time

from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from launchd.server.auth import may_write
from launchd.server.container import AppState
from launchd.server.files.blob_store import Blob
from launchd.server.files.signed_urls import RUN_DOWNLOAD, RUN_UPLOAD
from launchd.server.http.responses import blob_response, json_response
from launchd.server.models import Viewer
from launchd.server.routes.linked import linked_file, receive
from launchd.server.runs.file_stream import StreamUpdate, read_update
from launchd.server.store.database import Work
from launchd.server.store.runs import files as run_files
from launchd.server.store.runs import runs
from launchd.server.store.runs import stream as run_stream


def run_routes(app: AppState) -> list[Route]:
    """The HTTP routes of runs."""
    return [_stream_route(app), _upload_route(app), _download_route(app)]


def _stream_route(app: AppState) -> Route:
    async def stream(request: Request) -> Response:
        viewer = may_write(await app.auth.viewer(request))
        body = await app.bodies.read(request, app.settings.max_stream_bytes)
        update = await asyncio.to_thread(read_update, body)

        # Others write between two pieces.
        for piece in [update] if update.is_small else update.pieces():
            stopped, agent_id = await app.database.write(_applying(piece, viewer, request.path_params))
            if agent_id is not None:
                app.notifier.wake_all([agent_id])
        app.heartbeat_timer.on_heartbeat()
        return json_response(200, {"exitcode": None, "limits": {}, "stopped": stopped})

    return Route("/files/{entity}/{project}/{run}/file_stream", stream, methods=["POST"])


def _applying(update: StreamUpdate, viewer: Viewer, path: dict[str, str]) -> Work[tuple[bool, str | None]]:
    """Store an update. Returns whether the run is to stop, and the launch agent to be woken for that."""

    def work(connection: Connection) -> tuple[bool, str | None]:
        found = runs.require_run(connection, viewer, path["entity"], path["project"], path["run"])
        run_stream.apply(connection, found, update, time.time())
        return run_stream.stop_early(connection, viewer, found, update)

    return work


def _upload_route(app: AppState) -> Route:
    async def upload(request: Request) -> Response:
        linked = await linked_file(app, RUN_UPLOAD, request, run_files.linked_file)

        def arrived(connection: Connection, blob: Blob) -> bool:
            kept = linked.still(connection)
            return kept and run_files.arrived(connection, linked.file.id, blob.sha256, blob.md5, blob.size)

        missing_message = "The run of this file has been deleted, or who got this link may not write there any more."
        await receive(app, request, app.run_blobs, None, arrived, missing_message)
        return json_response(200, {})

    return Route("/storage/run-upload/{token}", upload, methods=["PUT"])


def _download_route(app: AppState) -> Route:
    async def download(request: Request) -> Response:
        linked = await linked_file(app, RUN_DOWNLOAD, request, run_files.linked_file)
        return blob_response(app.run_blobs, linked.file.content)

    return Route("/storage/run-download/{token}", download, methods=["GET"])
