"""Requirements in git repositories: git has there what it has for a job's source, and its reason is in the message."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from ipc.errors import BuildError
from ipc.policy_rules import PolicyRules
from ipc.settings import VenvConfig
from workers.builders.venv import VenvBuilder
from workers.context import JobContext
from workers.sources import Project

ContextMaker = Callable[..., JobContext]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_git_of_an_installer_has_the_hosts_settings_and_gives_its_reason(
    make_context: ContextMaker, tmp_path: Path, tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if tool == "pip":
        monkeypatch.setattr("ipc.own_uv.shutil.which", lambda *_args, **_kwargs: None)
    settings = tmp_path / "gitconfig"
    settings.write_text('[url "https://127.0.0.1:9/mirror/"]\n    insteadOf = https://git.example/\n')
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(settings))
    context = make_context(venv=VenvConfig(cache_dir=str(tmp_path / "venvs"), pip_args=("--no-index",)))
    (context.work / "requirements.txt").write_text("code @ git+https://git.example/code\n")

    with pytest.raises(BuildError, match=r"unable to access 'https://127\.0\.0\.1:9/mirror/code"):
        VenvBuilder().build(Project(context.work), context)


@pytest.mark.timeout(180)
def test_transports_are_those_of_the_policy(make_context: ContextMaker, tmp_path: Path) -> None:
    origin = tmp_path / "origin"
    subprocess.run(["git", "init", "--quiet", origin], check=True)
    context = make_context(venv=VenvConfig(cache_dir=str(tmp_path / "venvs")), policy=PolicyRules())
    (context.work / "requirements.txt").write_text(f"code @ git+file://{origin}\n")

    with pytest.raises(BuildError, match="transport 'file' not allowed"):
        VenvBuilder().build(Project(context.work), context)
