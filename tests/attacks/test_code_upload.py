"""What a directory holds beside its code: a job that is launched from it takes none of its owner's secrets along."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from launchd import launch_add
from launchd.cli import main
from launchd.client.artifacts import download_artifact
from launchd.client.queue_server import QueueServer
from tests.support.server import Account

SECRET = "the-secret-of-the-owner"
LEFT_OUT = "Not uploaded, for they may hold secrets: .ssh, .env, settings, deploy/server.key."


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """A directory with code and secrets, and a link to one outside."""
    home, code = tmp_path / "home", tmp_path / "code"
    for path in (home / ".netrc", code / ".env", code / ".ssh/config", code / "deploy/server.key"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SECRET)
    (code / "main.py").write_text("print(1)\n")
    (code / "settings").symlink_to(home / ".netrc")
    return code


@pytest.fixture(autouse=True)
def access(account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in {"HOME": str(tmp_path), "WANDB_BASE_URL": account.url, "WANDB_API_KEY": account.key}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def client(account: Account) -> Iterator[QueueServer]:
    opened = QueueServer(account.url, account.key)
    yield opened
    opened.close()


def run(*arguments: str) -> Result:
    done = CliRunner().invoke(main, arguments, prog_name="launchd")
    assert done.exit_code == 0, done.output
    return done


def uploaded(client: QueueServer, item_id: str, into: Path) -> dict[str, str]:
    """Return the files of an item's code directory, by name."""
    item = client.item(item_id)
    assert item is not None
    assert item.run_spec is not None
    download_artifact(client, item.run_spec["uri"].rpartition("/")[2], into)
    return {path.relative_to(into).as_posix(): path.read_text() for path in into.rglob("*") if path.is_file()}


def test_a_directory_that_is_launched_brings_no_secrets(client: QueueServer, code: Path, tmp_path: Path) -> None:
    run("queue", "create", "default")
    done = run("launch", "--async", str(code))
    assert uploaded(client, done.stdout.strip(), tmp_path / "back") == {"main.py": "print(1)\n"}
    assert done.stderr == f"{LEFT_OUT} To upload one, add: --include NAME\n"


def test_what_is_named_is_brought(client: QueueServer, code: Path, tmp_path: Path) -> None:
    run("queue", "create", "default")
    done = run("launch", "--async", "--include", "deploy/*", "--include", "settings", str(code))
    found = uploaded(client, done.stdout.strip(), tmp_path / "back")
    assert found == {"main.py": "print(1)\n", "deploy/server.key": SECRET, "settings": SECRET}
    assert "Not uploaded, for they may hold secrets: .ssh, .env." in done.stderr


def test_a_job_of_a_directory_has_no_secrets(code: Path) -> None:
    assert run("job", "create", "code", str(code)).stderr.startswith(LEFT_OUT)


def test_a_launch_from_python_brings_no_secrets(
    client: QueueServer, code: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "launchd"):
        queued = launch_add(uri=str(code))
    assert uploaded(client, queued.id, tmp_path / "back") == {"main.py": "print(1)\n"}
    assert caplog.messages == ["Files that may hold secrets are not uploaded: .ssh, .env, settings, deploy/server.key."]
