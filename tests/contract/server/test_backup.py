"""Backups of a server that runs, and servers that start from them, with both kinds of database."""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ipc.sizes import format_size
from launchd.cli import main
from launchd.client.models.outputs import OutputPiece
from launchd.client.queue_server import QueueServer
from launchd.server.files.blob_store import BlobStore
from launchd.server.files.quota import StorageQuota
from tests.support.artifacts import Logging, collect, content, delete, downloaded, files_of
from tests.support.postgres import Cluster
from tests.support.runs import ClientRun
from tests.support.server import Api, RunningServer, running_server

NewDatabase = Callable[[], dict[str, str]]


@pytest.fixture(scope="module")
def server(store: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:  # noqa: ARG001
    with running_server(tmp_path_factory.mktemp("backed-up"), "--gc-pause-seconds", "0") as running:
        yield running


@pytest.fixture
def new_database(store: object, request: pytest.FixtureRequest) -> NewDatabase:
    """Makes an empty database, and gives the variables that name it; with SQLite there is none to name."""
    if store is None:
        return dict
    cluster: Cluster = request.getfixturevalue("cluster")
    return lambda: {"LAUNCHD_DATABASE_URL": cluster.empty_database()}


def launchd(*words: str | Path, environment: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, list(map(str, words)), env=environment, prog_name="launchd")


def back_up(server: RunningServer, target: Path, *more: str | Path) -> Result:
    return launchd("backup", "--data-dir", server.data_dir, target, *more, environment=server.database)


def restore(backup: Path, data_dir: Path, environment: dict[str, str]) -> Result:
    return launchd("restore", "--data-dir", data_dir, backup, environment=environment)


@pytest.mark.dialect
def test_a_server_that_starts_from_a_backup_has_all_that_it_held(
    server: RunningServer, tmp_path: Path, new_database: NewDatabase
) -> None:
    files = {"a": content(), "b": content()}
    with server.api() as api:
        agent = api.create_agent(api.create_queue("q"), incarnation="a1")
        over = api.push("q")
        api.claim(agent, "c1")
        api.ack(agent, over)
        put_output(api, agent, over)
        api.report(agent, over, 1, "finished")
        waiting = api.push("q")
        code = Logging(api, files).log()
        ClientRun(api).upload("a.txt", content())
        held = names(files_of(server))
        size = sum(path.stat().st_size for path in files_of(server))

        made = back_up(server, tmp_path / "backup")

        assert (made.exit_code, made.stderr) == (0, "")
        assert f"the database, {len(held)} files of {format_size(size)}, the outputs of 1 job, the keys." in made.stdout
        later = api.push("q")
        Logging(api, {"later": content()}).log()
    environment = new_database()
    restored = restore(tmp_path / "backup", tmp_path / "again" / "server", environment)
    assert (restored.exit_code, restored.stderr) == (0, "")
    assert private(tmp_path / "backup")
    assert private(tmp_path / "again")
    with running_server(tmp_path / "again", environment=environment) as again, again.api() as api:
        assert again.key == server.key
        assert (api.state(over), api.state(waiting), api.item(later)) == ("FINISHED", "PENDING", None)
        assert names(files_of(again)) == held
        assert output_of(api, over) == b"hello"
        assert api.claim(agent, "c2") == [], "claims pause, because others may run what waits here"
        assert "its database was restored" in api.why(waiting)[0]["sentence"]
        code.api = api
        assert collect(api)["removedFiles"] == 0
        assert downloaded(code) == files


def put_output(api: Api, agent: str, item: str) -> None:
    piece = OutputPiece(attempt="1", start=0, content=b"hello", size=5, is_last=True)
    with closing(QueueServer(api.url, api.key)) as client:
        client.send_output(item, agent, "a1", piece)


def output_of(api: Api, item: str) -> bytes:
    with closing(QueueServer(api.url, api.key)) as client:
        return client.read_output(item)[1]


def names(paths: set[Path]) -> set[str]:
    return {path.name for path in paths}


def private(directory: Path) -> bool:
    """Whether only the owner can read what is below a directory."""
    found = [path for path in directory.rglob("*") if path.name != "server.log" and path.parent.name != "incoming"]
    return not any(stat.S_IMODE(path.stat().st_mode) & 0o077 for path in found if path.parent != directory)


def test_no_file_goes_while_a_backup_is_made(server: RunningServer) -> None:
    store = BlobStore(server.data_dir / "files", 1, StorageQuota(None))
    with server.api() as api:
        logged = Logging(api, {"a": content()}).log()
        with store.without_removals():
            delete(api, logged)
            assert collect(api)["removedFiles"] == 0
            Logging(api, {"b": content()}).log()
        assert collect(api)["removedFiles"] == 2


def test_what_an_earlier_backup_has_is_linked(server: RunningServer, tmp_path: Path) -> None:
    with server.api() as api:
        Logging(api, {"a": content()}).log()
        back_up(server, tmp_path / "one")
        Logging(api, {"b": content()}).log()
        assert back_up(server, tmp_path / "two", "--link-from", tmp_path / "one").exit_code == 0
    one, two = (set((tmp_path / name / "files").glob("??/*")) for name in ("one", "two"))
    assert {path.name for path in two if path.stat().st_nlink == 1} == names(two) - names(one) != set()
    no_backup = back_up(server, tmp_path / "three", "--link-from", tmp_path)
    assert "is no backup, or one that was not finished" in no_backup.stderr


def test_a_damaged_file_is_named_and_left_out(server: RunningServer, tmp_path: Path, new_database: NewDatabase) -> None:
    with server.api() as api:
        Logging(api, {"a": content()}).log()
    one, two, *_ = sorted((server.data_dir / "files").glob("??/*"))
    back_up(server, tmp_path / "whole")
    whole = one.read_bytes()
    one.write_bytes(b"x")
    try:
        made = back_up(server, tmp_path / "backup")
    finally:
        one.write_bytes(whole)

    assert made.exit_code == 1
    assert "was backed up into" in made.stdout
    left_out = "1 file of artifacts or runs in {}, damaged there, left out: {}."
    assert left_out.format(server.data_dir, one.name) in made.stderr
    (tmp_path / "whole" / two.relative_to(server.data_dir)).write_bytes(b"x")
    restored = restore(tmp_path / "whole", tmp_path / "again", new_database())
    assert restored.exit_code == 1
    assert left_out.format(tmp_path / "whole", two.name) in restored.stderr


def test_nothing_is_written_over(server: RunningServer, tmp_path: Path, new_database: NewDatabase) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").touch()

    assert "full is not empty: it has 'mine'." in back_up(server, tmp_path / "full").stderr
    assert back_up(server, tmp_path / "backup").exit_code == 0
    assert "full is not empty: it has 'mine'." in restore(tmp_path / "backup", tmp_path / "full", new_database()).stderr
    assert "server is not empty: it has" in restore(tmp_path / "backup", server.data_dir, new_database()).stderr
    if server.database:
        into_used = restore(tmp_path / "backup", tmp_path / "again", server.database)
        assert "is not empty: it has a table " in into_used.stderr
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


def test_a_backup_of_another_kind_of_database(server: RunningServer, tmp_path: Path) -> None:
    back_up(server, tmp_path / "backup")
    other = {} if server.database else {"LAUNCHD_DATABASE_URL": "postgresql:///nowhere"}

    restored = restore(tmp_path / "backup", tmp_path / "again", other)

    assert restored.exit_code == 1
    assert "leave out --database" in restored.stderr or "name it with --database" in restored.stderr
    assert not (tmp_path / "again").exists()


def test_what_is_no_backup_is_not_restored(server: RunningServer, tmp_path: Path, new_database: NewDatabase) -> None:
    back_up(server, tmp_path / "backup")
    (tmp_path / "backup" / "backup.json").unlink()

    assert "is no backup, or one that was not finished: it has no backup.json." in (
        restore(tmp_path / "backup", tmp_path / "again", new_database()).stderr
    )
    (tmp_path / "backup" / "backup.json").write_text("{}")
    assert "backup.json cannot be read: " in restore(tmp_path / "backup", tmp_path / "again", new_database()).stderr


def test_what_is_no_data_directory_is_not_backed_up(tmp_path: Path) -> None:
    assert "There is no directory" in launchd("backup", "--data-dir", tmp_path / "no", tmp_path / "backup").stderr
    assert "it has no links.key." in launchd("backup", "--data-dir", tmp_path, tmp_path / "backup").stderr
    (tmp_path / "links.key").touch()
    assert "has no server.sqlite. Where" in launchd("backup", "--data-dir", tmp_path, tmp_path / "backup").stderr
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
class TestSqlite:
    def test_a_damaged_database_is_not_restored_and_no_server_starts_over_it(
        self, server: RunningServer, tmp_path: Path
    ) -> None:
        back_up(server, tmp_path / "backup")
        database = tmp_path / "backup" / "server.sqlite"
        database.write_bytes(database.read_bytes()[:50_000] + os.urandom(50_000) + database.read_bytes()[100_000:])

        restored = restore(tmp_path / "backup", tmp_path / "again", {})

        assert restored.exit_code == 1
        assert "server.sqlite is damaged: " in restored.stderr or "server.sqlite cannot be read: " in restored.stderr
        started = launchd("server", "--port", "0", "--data-dir", tmp_path / "again")
        assert started.exit_code == 1
        assert "which was not finished. Empty that directory, and restore the backup once more." in started.stderr

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user than the owner")
    def test_root_leaves_no_files_of_its_own_in_the_directory_of_a_service(
        self, server: RunningServer, tmp_path: Path
    ) -> None:
        back_up(server, tmp_path / "backup")
        (tmp_path / "again").mkdir()
        (tmp_path / "data").mkdir()
        for directory in (tmp_path / "data", tmp_path / "again"):
            os.chown(directory, 65534, -1)

        backed_up = launchd("backup", "--data-dir", tmp_path / "data", tmp_path / "two")
        for done in (backed_up, restore(tmp_path / "backup", tmp_path / "again", {})):
            assert done.exit_code == 1
            assert "belongs to the user nobody. Run this as that user: runuser -u nobody -- launchd ..." in done.stderr
        assert list((tmp_path / "again").iterdir()) == []


@pytest.mark.parametrize("store", ["postgresql"], indirect=True)
class TestPostgresql:
    def test_the_missing_program_is_named(
        self, server: RunningServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))

        made = back_up(server, tmp_path / "backup")

        assert "takes its own pg_dump, which is not installed here (Debian: postgresql-client)." in made.stderr

    def test_a_password_is_in_no_command_line(self, server: RunningServer, tmp_path: Path) -> None:
        """A program in the place of pg_dump shows what it was given."""
        program = tmp_path / "pg_dump"
        program.write_text('#!/bin/sh\necho "$PGPASSWORD; $*" >&2\nexit 3\n')
        program.chmod(0o755)
        url = "postgresql://me:geheim@127.0.0.1:1/launchd?sslmode=disable"
        environment = {"LAUNCHD_DATABASE_URL": url, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

        made = launchd("backup", "--data-dir", server.data_dir, tmp_path / "backup", environment=environment)

        assert "pg_dump failed with exit code 3: geheim; --no-password" in made.stderr
        assert "--dbname=postgresql://me@127.0.0.1:1/launchd?sslmode=disable" in made.stderr
