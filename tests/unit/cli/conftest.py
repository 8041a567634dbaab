"""The command line as a function, and a queue server for it to talk to."""

import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner, Result

from launchd.cli import main
from tests.support.server import RunningServer, running_server

Launchd = Callable[..., Result]

#: Prefixes of variables that the tests must not see.
FOREIGN = ("WANDB_", "LAUNCHD_STATE_DIR", "LAUNCHD_CONFIG", "LAUNCHD_DATABASE_URL", "XDG_", "NETRC")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in list(os.environ):
        if name.startswith(FOREIGN):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "100")
    # Below pytest's directories the path of the control socket may be too long.
    with TemporaryDirectory(prefix="launchd-run-") as directory:
        monkeypatch.setenv("XDG_RUNTIME_DIR", directory)
        yield


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    root, launchd_logger = logging.getLogger(), logging.getLogger("launchd")
    before = (root.handlers[:], root.level, launchd_logger.level)
    root.handlers[:] = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers[:], root_level, launchd_level = before
    root.setLevel(root_level)
    launchd_logger.setLevel(launchd_level)


@pytest.fixture
def launchd() -> Launchd:
    """``launchd("status", "--json")``; values by name are environment variables."""

    def run(*arguments: str, **environ: str) -> Result:
        return CliRunner().invoke(main, arguments, env=environ, prog_name="launchd")

    return run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def at_server(server: RunningServer, launchd: Launchd) -> Launchd:
    """The command line with this server's address and key in the environment."""
    access: Mapping[str, str] = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": server.key}
    return lambda *arguments, **environ: launchd(*arguments, **{**access, **environ})
