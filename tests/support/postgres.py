"""A PostgreSQL of the tests' own: one throw-away cluster per process of the test run, a new database for whoever asks.

Nothing of it is written to outlast the machine (no fsync), but its own crashes it outlives; no TCP; removed at the end.
"""

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from launchd.server.settings import ServerSettings
from launchd.server.store.factory import migration_transaction
from launchd.server.store.migrate import migrate
from tests.support.parts import missing_part
from tests.support.waiting import wait_until

#: PostgreSQL refuses to run as root; Debian's package makes this user.
USER = "postgres"
STOP_SECONDS = 20.0

TEMPLATE = "migrated"

SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "200",
    "deadlock_timeout": "100ms",
}


class Cluster:
    """One running PostgreSQL, that tests may stop and start."""

    def __init__(self, directory: Path, programs: Path) -> None:
        self.directory = directory
        self._programs = programs
        self._names = itertools.count(1)
        self._has_template = False
        self._process: subprocess.Popen[bytes] | None = None

    def initialise(self) -> None:
        """Make the files."""
        command = ["initdb", "-A", "trust", "-U", USER, "--no-sync", "--locale=C", "-E", "UTF8", "-D", "data"]
        self._as_user(command, subprocess.DEVNULL).wait()

    def start(self) -> None:
        """Start it; returns when it answers."""
        options = [word for name, value in SETTINGS.items() for word in ("-c", f"{name}={value}")]
        with (self.directory / "log").open("ab") as log:
            self._process = self._as_user(["postgres", "-D", "data", "-k", str(self.directory), *options], log)
        wait_until(self._answers, what="PostgreSQL")

    def stop(self, how: signal.Signals = signal.SIGQUIT) -> None:
        """End it: SIGQUIT at once, as a crash; SIGINT in good order. Nothing happens where it does not run."""
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(STOP_SECONDS)
            self._process = None

    def url(self, database: str) -> str:
        """Address of one of its databases."""
        return f"postgresql://{USER}@/{database}?host={self.directory}"

    def empty_database(self) -> str:
        """The address of a new database without tables."""
        return self._new_database(f"test{next(self._names)}", "template0")

    def fresh_database(self) -> str:
        """The address of a new database with the tables of the store: a copy, which is faster than to migrate each."""
        if not self._has_template:
            self._new_database(TEMPLATE, "template0")
            with migration_transaction(
                ServerSettings(data_dir=self.directory, database=self.url(TEMPLATE))
            ) as connection:
                migrate(connection, TEMPLATE)
            self._has_template = True
        return self._new_database(f"test{next(self._names)}", TEMPLATE)

    def _new_database(self, name: str, template: str) -> str:
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        return self.url(name)

    def run(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement outside any transaction."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def _answers(self) -> bool:
        try:
            return bool(self.run("SELECT 1"))
        except psycopg.OperationalError:
            return False

    def _as_user(self, command: list[str], output: Any) -> subprocess.Popen[bytes]:
        who: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            who = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        program = [str(self._programs / command[0]), *command[1:]]
        return subprocess.Popen(program, cwd=self.directory, stdout=output, stderr=output, **who)


@contextmanager
def throwaway_cluster() -> Iterator[Cluster]:
    """A running cluster. Where PostgreSQL is not installed the test is skipped, or fails if it must not be."""
    programs = _programs()
    if programs is None:
        missing_part("PostgreSQL is not installed here (Debian: apt-get install postgresql)")
    # Not in pytest's directory, which belongs to one user, and whose path may be too long for a socket.
    directory = Path(tempfile.mkdtemp(prefix="launchd-pg-"))
    if os.geteuid() == 0:
        os.chown(directory, pwd.getpwnam(USER).pw_uid, -1)
    cluster = Cluster(directory, programs)
    try:
        cluster.initialise()
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory)


def _programs() -> Path | None:
    """Where initdb and postgres are: Debian keeps them off the PATH, by version."""
    found = shutil.which("initdb")
    if found:
        return Path(found).parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: int(path.parent.parent.name), default=None)
    return newest.parent if newest else None
