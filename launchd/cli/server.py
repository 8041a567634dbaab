"""`launchd server`: configures the log and runs the queue server, if its packages are installed."""

import os
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Literal

import click

from launchd.cli.database_url import data_options, read_url
from launchd.cli.errors import report_errors
from launchd.cli.server_packages import require_packages
from launchd.cli.terminal import echo
from launchd.daemon import logging as logs
from launchd.daemon.systemd import SystemdNotifier

EXAMPLES = """\b
Example:
  launchd server --data-dir /var/lib/launchd-server
  export WANDB_BASE_URL=http://127.0.0.1:8780
  export WANDB_API_KEY=$(cat /var/lib/launchd-server/admin.key)
"""


def _read_rules(_context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]) -> tuple[Any, ...]:
    """Return rules of retention; raises ``click.BadParameter`` for what is none."""
    # Here: only who names a rule needs what reads it.
    from launchd.server.runs.retention import WrongRule, parse_rule  # noqa: PLC0415

    try:
        return tuple(map(parse_rule, texts))
    except WrongRule as error:
        raise click.BadParameter(str(error)) from error


def proxies(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Check a list of addresses and networks, for click."""
    words = [word.strip() for word in value.split(",") if word.strip()]
    for word in words:
        try:
            if word != "*":
                ip_network(word)
        except ValueError as error:
            raise click.BadParameter(f"{word!r} is no address and no network, such as 10.0.0.0/8.") from error
    return ",".join(words)


@click.command(epilog=EXAMPLES)
@data_options
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8780, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: any free one.")
@click.option("--entity", help="Name of the first user and entity [default: your login name].")
@click.option("--first-queue", metavar="NAME", help="Queue of that entity, created with its first key [default: none].")
@click.option("--public-url", help="Address in links to files, where it differs from that of the requests.")
@click.option(
    "--forwarded-allow-ips",
    envvar="FORWARDED_ALLOW_IPS",
    default="127.0.0.1,::1",
    show_default=True,
    callback=proxies,
    metavar="ADDRESSES",
    help="Proxies that are believed who asks and by which scheme: addresses or networks, with commas; * is any.",
)
@click.option(
    "--backfill-seconds",
    type=click.FloatRange(0),
    default=300.0,
    show_default=True,
    help="How long items that fit may pass an older one whose GPUs are not free.",
)
@click.option("--max-store-bytes", type=click.IntRange(0), help="Limit of all files together [default: none].")
@click.option(
    "--keep-runs",
    "retention",
    metavar="RULE",
    multiple=True,
    callback=_read_rules,
    help="How long ended runs are kept: [TEAM/PROJECT=]30d,200,50GiB,files:14d [default: until they are deleted].",
)
@click.option(
    "--keep-items",
    "keep_items_days",
    type=click.FloatRange(min=1),
    metavar="DAYS",
    help="How long items are kept after their end [default: for ever].",
)
@click.option(
    "--alert-webhook-file",
    type=click.Path(path_type=Path),
    help="File with the address that alerts of runs are posted to as JSON.",
)
@click.option("--alert-mail-to", metavar="ADDRESS", help="Mail alerts of runs to this address.")
@click.option(
    "--alert-smtp", metavar="HOST:PORT", default="localhost:25", show_default=True, help="By this mail server."
)
@click.option("--metrics-listen", metavar="ADDRESS", help="Serve metrics for Prometheus at ADDRESS:PORT or unix:/PATH.")
@click.option("--metrics-remote", is_flag=True, help="Allow an address that other machines reach.")
@click.option("--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-v", "--verbose", "verbosity", count=True, help="Log more; twice for even more.")
def server(
    data_dir: Path,
    host: str,
    port: int,
    entity: str | None,
    first_queue: str | None,
    public_url: str | None,
    forwarded_allow_ips: str,
    database: str | None,
    database_file: Path | None,
    backfill_seconds: float,
    max_store_bytes: int | None,
    retention: tuple[Any, ...],
    keep_items_days: float | None,
    alert_webhook_file: Path | None,
    alert_mail_to: str | None,
    alert_smtp: str,
    metrics_listen: str | None,
    metrics_remote: bool,
    log_format: Literal["text", "json"],
    verbosity: int,
) -> None:
    """Run the queue server: queues, API keys and code directories, below one directory.

    It prints its address when it is ready, and creates an API key at its first start (DATA_DIR/admin.key, readable by
    you alone). It speaks plain HTTP: put a proxy with TLS in front of it before it listens on more than this machine.

    With a database in PostgreSQL several servers may share it, and DATA_DIR. A password belongs into ~/.pgpass,
    PGPASSWORD, LAUNCHD_DATABASE_URL or the file, never into the command line.
    """
    logs.set_up(log_format, verbosity)
    require_packages()
    if database_file is not None:
        database = read_url(database_file)
    _serve(
        data_dir=data_dir,
        host=host,
        port=port,
        entity=entity,
        first_queue=first_queue,
        public_url=public_url,
        forwarded_allow_ips=forwarded_allow_ips,
        database=database,
        backfill_seconds=backfill_seconds,
        max_store_bytes=max_store_bytes,
        retention=retention,
        keep_items_seconds=None if keep_items_days is None else keep_items_days * 24 * 3600.0,
        alert_webhook=None if alert_webhook_file is None else read_url(alert_webhook_file, "https://..."),
        alert_mail_to=alert_mail_to,
        alert_smtp=alert_smtp,
        metrics_listen=metrics_listen,
        metrics_remote=metrics_remote,
    )


def _serve(**options: Any) -> None:
    """Serve until SIGTERM, with options named as in `ServerSettings`; prints the address once requests are answered."""
    # Here: the server's packages are an extra, and the help of the command must work without them.
    from launchd.server.errors import CannotStart  # noqa: PLC0415
    from launchd.server.serve import serve  # noqa: PLC0415
    from launchd.server.settings import ServerSettings  # noqa: PLC0415

    with report_errors(CannotStart):
        serve(ServerSettings(**options), ready=_announce)


def _announce(address: str) -> None:
    echo(address)
    SystemdNotifier(os.environ).ready()
