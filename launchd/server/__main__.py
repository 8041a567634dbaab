"""`python -m launchd.server`: the queue server alone. Parses, calls `serve`, prints where it listens."""

import sys
from pathlib import Path
from typing import Any

import click

from launchd.server.errors import CannotStart
from launchd.server.runs.retention import WrongRule, parse_rule
from launchd.server.serve import serve
from launchd.server.settings import ServerSettings


@click.command()
@click.option("--data-dir", required=True, type=click.Path(path_type=Path), help="Where the server keeps everything.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8780, show_default=True, help="Port to listen on; 0 takes any free one.")
@click.option("--entity", help="Name of the first user and entity [default: your login name].")
@click.option("--public-url", help="Base URL that clients use, where it differs from the one they send requests to.")
@click.option("--forwarded-allow-ips", default="127.0.0.1,::1", show_default=True, help="See the settings.")
@click.option("--database", envvar="LAUNCHD_DATABASE_URL", help="postgresql://... instead of SQLite.")
@click.option("--lease-scan-seconds", default=10.0, show_default=True, help="With PostgreSQL: see the settings.")
@click.option("--lease-seconds", default=60.0, show_default=True, help="How long an item may stay unacknowledged.")
@click.option("--backfill-seconds", default=300.0, show_default=True, help="How long smaller items pass a larger one.")
@click.option("--agent-timeout-seconds", default=120.0, show_default=True, help="Timeout of an agent's heartbeats.")
@click.option("--restore-pause-seconds", default=60.0, show_default=True, help="See the settings.")
@click.option("--wrong-key-burst", default=30, show_default=True, help="See the settings.")
@click.option("--run-timeout-seconds", default=300.0, show_default=True, help="Timeout of a run's heartbeats.")
@click.option("--max-store-bytes", type=int, help="All files together [default: as much as the disk holds].")
@click.option("--max-answer-bytes", default=64 * 1024 * 1024, show_default=True, help="See the settings.")
@click.option("--keep-runs", "retention", multiple=True, help="See the settings.")
@click.option("--alert-webhook", envvar="LAUNCHD_ALERT_WEBHOOK", help="See the settings.")
@click.option("--alert-mail-to", help="See the settings.")
@click.option("--alert-smtp", default="localhost:25", show_default=True, help="See the settings.")
@click.option("--metrics-listen", help="See the settings.")
@click.option("--idle-seconds", default=75, show_default=True, help="See the settings.")
@click.option("--body-timeout-seconds", default=120.0, show_default=True, help="See the settings.")
@click.option("--keep-items-seconds", type=float, help="See the settings.")
@click.option("--max-unfinished-bytes", default=256 * 1024 * 1024, show_default=True, help="See the settings.")
@click.option("--abandoned-seconds", default=7 * 24 * 3600.0, show_default=True, help="See the settings.")
@click.option("--assembly-timeout-seconds", default=20.0, show_default=True, help="See the settings.")
@click.option("--gc-interval-seconds", default=3600.0, show_default=True, help="See the settings.")
@click.option("--gc-pause-seconds", default=5.0, show_default=True, help="See the settings.")
def main(retention: tuple[str, ...], **options: Any) -> None:
    """Run the queue server until it gets SIGTERM."""
    try:
        serve(ServerSettings(retention=tuple(map(parse_rule, retention)), **options), ready=_announce)
    except (CannotStart, WrongRule) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)


def _announce(url: str) -> None:
    click.echo(url)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
