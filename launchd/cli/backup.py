"""`launchd backup` and `launchd restore`: copy the data of a queue server on its host, and put them back."""

from collections.abc import Sequence
from pathlib import Path

import click

from ipc.sizes import format_size
from launchd.cli.database_url import data_options, data_options_of_up, read_url
from launchd.cli.errors import report_errors
from launchd.cli.server_packages import require_packages
from launchd.cli.terminal import echo
from launchd.humanize import counted, join_some

BACKUP_EXAMPLES = """\b
Example:
  launchd backup --data-dir /var/lib/launchd-server /backups/2026-12-01
  launchd backup --data-dir /var/lib/launchd-server --link-from /backups/2026-12-01 /backups/2026-12-02
"""

directory = click.Path(path_type=Path, file_okay=False)


@click.command(epilog=BACKUP_EXAMPLES)
@click.argument("target", type=directory)
@data_options_of_up
@click.option(
    "--link-from",
    metavar="BACKUP",
    type=directory,
    help="An earlier backup on the same file system: files that it has are linked, not copied.",
)
def backup(
    target: Path, data_dir: Path, database: str | None, database_file: Path | None, link_from: Path | None
) -> None:
    """Copy the data of a queue server into the directory TARGET, while the server runs.

    The copy is that of one moment: queues, items, users, keys, runs, artifacts with all their files. TARGET must be
    empty or new; it holds keys, and only you can read it. Run this on the server's host as the server's user. A
    database in PostgreSQL is copied by its own pg_dump.
    """
    require_packages()
    # Here: the server's packages are an extra, and the help of the command must work without them.
    from launchd.server.backup.making import make_backup  # noqa: PLC0415
    from launchd.server.errors import BackupFailed, CannotStart  # noqa: PLC0415
    from launchd.server.settings import ServerSettings  # noqa: PLC0415

    settings = ServerSettings(data_dir=data_dir, database=_address(database, database_file))
    with report_errors(BackupFailed, CannotStart):
        made, damaged = make_backup(settings, target, link_from)
    echo(
        f"{data_dir} was backed up into {target}: the database, {counted(made.files, 'file')} of"
        f" {format_size(made.bytes)}, the outputs of {counted(made.outputs, 'job')}, the keys."
    )
    _report(damaged, data_dir)


@click.command(epilog="\b\nExample:\n  launchd restore --data-dir /var/lib/launchd-server /backups/2026-12-01")
@click.argument("backup_dir", metavar="BACKUP", type=directory)
@data_options
def restore(backup_dir: Path, data_dir: Path, database: str | None, database_file: Path | None) -> None:
    """Put a backup back, into a data directory that is empty or new; then start the server there.

    Stop the server first, and move what is left of its data away. Run this as the server's user. A database in
    PostgreSQL must be empty, too. What came after the backup is lost; the server hands nothing out until its agents
    are back.
    """
    require_packages()
    # Here: the server's packages are an extra, and the help of the command must work without them.
    from launchd.server.backup.restoring import restore_backup  # noqa: PLC0415
    from launchd.server.errors import BackupFailed, CannotStart  # noqa: PLC0415
    from launchd.server.settings import ServerSettings  # noqa: PLC0415

    settings = ServerSettings(data_dir=data_dir, database=_address(database, database_file))
    with report_errors(BackupFailed, CannotStart):
        made, damaged = restore_backup(settings, backup_dir)
    echo(f"{backup_dir}, made at {made.made_at}, was restored into {data_dir}. Start the server.")
    _report(damaged, backup_dir)


def _address(database: str | None, database_file: Path | None) -> str | None:
    return database if database_file is None else read_url(database_file)


def _report(damaged: Sequence[Path], where: Path) -> None:
    """End with an error where files were damaged: what names them is there without them."""
    if damaged:
        names = join_some([path.name for path in damaged])
        files = counted(len(damaged), "file")
        raise click.ClickException(f"{files} of artifacts or runs in {where}, damaged there, left out: {names}.")
