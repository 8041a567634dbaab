"""Sources to make jobs of: a directory and a git repository, both with a script that logs what it was given."""

import os
import subprocess
from pathlib import Path

from tests.compat.wandb_env import WandbEnv

#: Where the repository is said to be: git's settings lead from there to a directory, as newer clients take no file://.
REMOTE = "https://git.example/team/demo.git"

#: Logs what it was given, as a job does.
SCRIPT = """\
import os, pathlib, sys, wandb
with wandb.init(config={"lr": 1.0}) as run:
    origin = pathlib.Path("origin.txt").read_text().strip()
    colour = os.environ.get("COLOUR", "none")
    run.log({"lr": run.config["lr"], "arguments": " ".join(sys.argv[1:]), "origin": origin, "colour": colour})
"""


def code_directory(wandb_env: WandbEnv, name: str) -> Path:
    """Write a directory with a script and its requirements; returns it."""
    directory = wandb_env.work / name
    directory.mkdir(exist_ok=True)
    (directory / "train.py").write_text(SCRIPT)
    (directory / "origin.txt").write_text(f"{name}\n")
    (directory / "requirements.txt").write_text("")
    return directory


def git_repository(wandb_env: WandbEnv) -> str:
    """Make a repository with one commit, reached at :data:`REMOTE`; returns its commit."""
    directory = code_directory(wandb_env, "demo.git")
    if not (directory / ".git").exists():
        wandb_env.gitconfig.write_text(f'[url "file://{directory}"]\n    insteadOf = {REMOTE}\n')
        _git(directory, "init", "--quiet", "--initial-branch=main")
        _git(directory, "add", ".")
        _git(directory, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "-m", "First")
    return _git(directory, "rev-parse", "HEAD").strip()


def _git(directory: Path, *arguments: str) -> str:
    environ = {"PATH": os.environ["PATH"], "HOME": str(directory.parent)}
    done = subprocess.run(
        ["git", *arguments], cwd=directory, env=environ, check=True, capture_output=True, text=True, timeout=20
    )
    return done.stdout
