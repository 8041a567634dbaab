"""Jobs made, listed, described and launched by commands alone, and run by a real agent."""

import json
from pathlib import Path

from tests.support.local_stack import LocalStackProcess, make_repository

SCRIPT = (
    "import json, os, sys; print(sys.argv[1:], json.loads(os.environ['WANDB_ARTIFACTS']), os.environ['WANDB_CONFIG'])"
)


def launched(up: LocalStackProcess, *words: str) -> str:
    """What a job printed that was launched with these words, and waited for."""
    done = up.output("launch", *words)
    assert done.splitlines()[-1].endswith("finished"), done
    return up.output("logs", done.split()[1])


def test_jobs_are_made_and_run(up: LocalStackProcess, tmp_path: Path) -> None:
    repository = make_repository(tmp_path / "repository")
    made = up.output("job", "create", "git", repository, "-g", "v1", "-n", "versions", "-p", "tries", "-a", "first")
    name = made.split()[1]
    assert made.endswith("was created.")
    assert name.endswith("/tries/versions:latest")
    again = up.output("job", "create", "git", repository, "-g", "v1", "-n", "versions", "-p", "tries")
    assert again.endswith("is unchanged.")
    newer = up.output("job", "create", "git", repository, "-n", "versions", "-p", "tries")
    assert newer.endswith("has a new version.")
    assert launched(up, "--job", "versions:first", "-p", "tries") == "version 1"
    assert launched(up, "--job", name) == "version 2"

    code = tmp_path / "code"
    code.mkdir()
    (code / "train.py").write_text(SCRIPT)
    made = up.output("job", "create", "code", str(code), "-n", "train", "-E", "python train.py --fast", "-p", "tries")
    name = made.split()[1]
    output = launched(up, "--job", name, "-c", json.dumps({"epochs": 3}))
    assert output == f"['--fast'] {{'_wandb_job': '{name}'}} " + json.dumps({"epochs": 3})

    listed = up.output("job", "list", "-p", "tries").splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [
        ["train", "v0", "latest"],
        ["versions", "v1", "latest"],
        ["versions", "v0", "first"],
    ]
    described = up.output("job", "describe", "tries/train")
    assert "Entry point:   python train.py --fast" in described.splitlines()

    (code / "parts").mkdir()
    (code / "parts" / "where.py").write_text("import os; print(os.path.basename(os.getcwd()))")
    where = ("-E", "python where.py", "-p", "tries")
    assert launched(up, str(code), "-b", "parts", *where) == "parts"
    assert launched(up, str(code), *where, "-c", json.dumps({"overrides": {"working_dir": "parts"}})) == "parts"


def test_a_notebook_is_launched_as_a_job(up: LocalStackProcess, tmp_path: Path) -> None:
    code = tmp_path / "notebooks"
    code.mkdir()
    cells = [
        {"cell_type": "markdown", "source": "# Training"},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "!pip install nothing\n", "rate = 0.5"]},
        {"cell_type": "code", "source": "print(f'trained at {rate}')"},
    ]
    (code / "train.ipynb").write_text(json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}))

    assert launched(up, str(code), "-E", "python train.ipynb", "-p", "tries") == "trained at 0.5"
    assert "Entry point:   python train.ipynb" in up.output("job", "describe", "tries/job-notebooks").splitlines()


def test_an_image_is_made_and_no_plain_process_runs_it(up: LocalStackProcess) -> None:
    made = up.output("job", "create", "image", "registry:5000/me/tool:v2-rc", "-p", "tries")
    name = made.split()[1]
    assert name.endswith("/tries/job-registry_5000_me_tool:latest")
    assert "v2-rc" in up.output("job", "list", "-p", "tries")
    assert "Image:         registry:5000/me/tool:v2-rc" in up.output("job", "describe", name).splitlines()
    failed = up.run("launch", "--job", name)
    assert failed.returncode == 1
    assert b"The job is the image registry:5000/me/tool:v2-rc, but local-process runs no images." in failed.stderr


def test_mistakes_are_told(up: LocalStackProcess, tmp_path: Path) -> None:
    def refused(*words: str) -> str:
        done = up.run(*words)
        assert done.returncode in (1, 2), done.stdout
        return done.stderr.decode()

    assert "has no job" in refused("launch", "--job", "nothing")
    assert "has no job" in refused("job", "describe", "nothing")
    assert "is no name of a job" in refused("job", "describe", "a/b/c/d")
    wanted = f"Say first what it is: launchd job create code {tmp_path}"
    assert wanted in refused("job", "create", str(tmp_path))
    assert "launchd job create git https://host/me/p" in refused("job", "create", "https://host/me/p", "-n", "x")
    assert "is not one of 'git', 'code', 'image'" in refused("job", "create", "docker", "busybox")
    wanted = "To launch that, write: launchd launch https://host/me/project"
    assert wanted in refused("launch", "-u", "https://host/me/project", "-E", "python train.py")
    assert "no directory" in refused("job", "create", "code", str(tmp_path / "nothing"))
    assert "is no name for a job; 'a_b' is one" in refused("job", "create", "image", "busybox", "-n", "a b")
    assert "'2.7' is no version of Python 3" in refused("job", "create", "code", str(tmp_path), "-r", "2.7")
    assert "has its command" in refused("job", "create", "image", "busybox", "-E", "true")
    assert "cannot be read" in refused("job", "create", "git", f"file://{tmp_path}/nothing")
    repository = make_repository(tmp_path / "repository")
    assert "has no branch or tag 'v9'" in refused("job", "create", "git", repository, "-g", "v9")
    assert "There are no jobs" in up.output("job", "list", "-p", "empty")
