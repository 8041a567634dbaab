"""Hosts to be examined: a configuration with a state directory of its own, and a queue server that answers."""

import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from ipc.settings import UserNumbers
from launchd.config import AgentConfig, LaunchdConfig, PolicyConfig
from launchd.doctor.findings import Finding, Verdict
from launchd.doctor.host import Host
from tests.support.server import RunningServer, running_server

MakeHost = Callable[..., Host]

#: Numbers that no host has.
FREE = UserNumbers(1_900_000_000, 1_900_000_099)


def verdicts(findings: Iterable[Finding]) -> list[Verdict]:
    return [one.verdict for one in findings]


def only(findings: Iterable[Finding]) -> Finding:
    """The one thing that was found. What is wrong is explained."""
    found = list(findings)
    assert len(found) == 1, found
    if found[0].verdict in (Verdict.WARN, Verdict.FAIL):
        assert found[0].meaning
        assert found[0].fix
    return found[0]


def unit_of(host: MakeHost, tmp_path: Path, **properties: str) -> Host:
    """A host with a program in the place of systemctl, which shows these properties of any unit."""
    (tmp_path / "root/run/systemd/system").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    known = {"LoadState": "loaded", "ActiveState": "active", "SubState": "running", "UnitFileState": "enabled"}
    lines = "".join(f"{name}={value}\n" for name, value in {**known, **properties}.items())
    program = tmp_path / "bin/systemctl"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{lines}END\n")
    program.chmod(0o755)
    made = host(root=str(tmp_path / "root"))
    return replace(made, environ={**made.environ, "PATH": f"{tmp_path}/bin:{made.environ['PATH']}"})


@pytest.fixture
def host(tmp_path: Path) -> MakeHost:
    """``host(queues=("a",), policy={...}, settings={...})``: what is not named is a default."""

    def make(*, policy: Any = None, settings: Any = None, root: str = "/", url: str | None = None, **top: Any) -> Host:
        config = AgentConfig(
            launchd=LaunchdConfig(
                state_dir=str(tmp_path / "state"),
                runtime_dir=str(tmp_path / "run"),
                policy=PolicyConfig(**(policy or {})),
                **(settings or {}),
            ),
            **{"queues": ("default",), **top},
        )
        environ = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
        return Host(config, root=root, url=url, environ={**environ, "HOME": str(tmp_path)})

    return make


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def at_server(host: MakeHost, server: RunningServer) -> MakeHost:
    """A host whose agent has the key of the server's administrator, or the one named ``key``."""

    def make(key: str = "", **given: Any) -> Host:
        made = host(url=server.url, entity="me", **given)
        return replace(made, environ={**made.environ, "WANDB_API_KEY": key or server.key})

    return make
