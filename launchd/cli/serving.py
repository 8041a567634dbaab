"""The queue server as the command line runs it. Loaded only where its packages are needed: they are an extra."""

from pathlib import Path

import click

from launchd.cli.failures import told
from launchd.server.errors import CannotStart
from launchd.server.run import serve
from launchd.server.settings import ServerSettings


@told(CannotStart)
def run_server(
    *,
    data_dir: Path,
    host: str,
    port: int,
    entity: str | None,
    public_url: str | None,
    database: str | None,
    max_store_bytes: int | None,
) -> None:
    """Serve until SIGTERM; prints the address once requests are answered."""
    settings = ServerSettings(
        data_dir=data_dir,
        host=host,
        port=port,
        entity=entity,
        public_url=public_url,
        database=database,
        max_store_bytes=max_store_bytes,
    )
    serve(settings, ready=click.echo)
