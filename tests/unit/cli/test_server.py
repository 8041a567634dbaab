"""`launchd server`: its database, and its messages when it cannot start."""

from pathlib import Path

import pytest

from tests.unit.cli.conftest import Launchd


@pytest.mark.parametrize("url", ["postgresql://me:geheim@db/launchd", "postgresql:///launchd?password=geheim"])
def test_a_password_in_the_command_line_is_refused(launchd: Launchd, tmp_path: Path, url: str) -> None:
    answer = launchd("server", "--data-dir", str(tmp_path), "--database", url)

    assert answer.exit_code == 2
    assert "all users of this machine can read a password there" in answer.stderr
    assert "geheim" not in answer.output


@pytest.mark.parametrize("given", ["option", "variable", "file"])
def test_the_address_of_the_database_is_taken_from(launchd: Launchd, tmp_path: Path, given: str) -> None:
    """No database answers, and the error names the address without the password."""
    url = "postgresql://me@127.0.0.1:1/launchd"
    secret = "postgresql://me:geheim@127.0.0.1:1/launchd"
    file = tmp_path / "url"
    file.write_text(f"{secret}\n")
    options = {"option": ("--database", url), "variable": (), "file": ("--database-file", str(file))}[given]
    environ = {"LAUNCHD_DATABASE_URL": secret} if given == "variable" else {}

    answer = launchd("server", "--port", "0", "--data-dir", str(tmp_path / "data"), *options, **environ)

    assert answer.exit_code == 1
    assert "127.0.0.1:1/launchd cannot be used as a database: connection failed" in answer.stderr
    assert "geheim" not in answer.output


def test_another_kind_of_database_is_refused(launchd: Launchd, tmp_path: Path) -> None:
    answer = launchd("server", "--port", "0", "--data-dir", str(tmp_path), "--database", "mysql://db/launchd")

    assert answer.exit_code == 1
    assert "must have the form postgresql://" in answer.stderr


def test_a_file_without_an_address_is_named(launchd: Launchd, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("")

    answer = launchd("server", "--data-dir", str(tmp_path), "--database-file", str(tmp_path / "url"))
    missing = launchd("server", "--data-dir", str(tmp_path), "--database-file", str(tmp_path / "nowhere"))

    assert "is empty" in answer.stderr
    assert "nowhere cannot be read: No such file or directory." in missing.stderr


def test_a_host_that_is_none_is_told(launchd: Launchd, tmp_path: Path) -> None:
    answer = launchd("server", "--port", "0", "--data-dir", str(tmp_path), "--host", "999.1.1.1")

    assert answer.stderr == "Error: The queue server cannot listen on 999.1.1.1:0: there is no such host.\n"
