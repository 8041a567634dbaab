"""Jobs as a real queue server keeps them, fetched with what they name."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ipc.errors import InvalidSpec, JobError, SourceError
from ipc.policy_rules import PolicyRules
from ipc.run_spec import GitSpec, parse_run_spec
from launchd.client.artifacts import upload_directory
from launchd.client.job_file import GitCommit, JobFile, JobName, JobSource, code_reference
from launchd.client.jobs import create_job
from launchd.client.queue_server import QueueServer
from tests.support.git_origin import Origin
from tests.support.server import RunningServer, fresh_name
from workers.context import JobContext
from workers.sources import Project, overridden, with_directories
from workers.sources.job import JobSource as Source

ContextMaker = Callable[..., JobContext]


@pytest.fixture
def client(server: RunningServer) -> Iterator[QueueServer]:
    client = QueueServer(server.url, server.key)
    yield client
    client.close()


@pytest.fixture
def fetch(make_context: ContextMaker, server: RunningServer) -> Callable[..., Project]:
    def do(job: str, version: str | None = None, builder: str | None = None) -> Project:
        spec = {"job": job, "git": GitSpec(version=version)}
        context = make_context(
            f"launchd-{fresh_name('job')}",
            spec=spec,
            base_url=server.url,
            policy=PolicyRules(allow_local_git=True),
            builder=builder,
        )
        context.api_key = server.key
        return Source().fetch(context)

    return do


@pytest.fixture
def make(client: QueueServer) -> Callable[..., str]:
    def do(kind: str, source: JobSource, requirements: str = "", runtime: str | None = "3.11") -> str:
        name = JobName("me", "engine", fresh_name("job"))
        return str(create_job(client, name, JobFile(kind, source, runtime), requirements=requirements).name)

    return do


@pytest.fixture
def code(client: QueueServer, tmp_path: Path) -> str:
    """A code artifact's id."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "train.py").write_text("print('hi')\n")
    (source / "parts").mkdir()
    (source / "parts" / "part.py").write_text("")
    return upload_directory(client, "me", "engine", "code-train", source)


def test_a_repository_at_its_commit(make: Callable[..., str], fetch: Callable[[str], Project], tmp_path: Path) -> None:
    origin = Origin(tmp_path / "origin")
    commit = origin.commit("then")
    origin.commit("now")
    source = JobSource(git=GitCommit(str(origin.path), commit), entrypoint=("python3.11", "main.py"))
    project = fetch(make("repo", source, "requests==2.0\n"))
    assert (project.directory / "main.py").read_text() == "then"
    assert (project.directory / "requirements.frozen.txt").read_text() == "requests==2.0\n"
    assert project.entry_point == ("python", "main.py")


def test_another_version_of_its_repository(
    make: Callable[..., str], fetch: Callable[..., Project], tmp_path: Path
) -> None:
    origin = Origin(tmp_path / "origin")
    commit = origin.commit("then")
    origin.commit("now")
    job = make("repo", JobSource(git=GitCommit(str(origin.path), commit), entrypoint=("python", "main.py")))

    assert (fetch(job, "main").directory / "main.py").read_text() == "now"


def test_a_code_artifact_has_no_versions(make: Callable[..., str], fetch: Callable[..., Project], code: str) -> None:
    with pytest.raises(SourceError, match="of which there is no version main") as failure:
        fetch(make("artifact", JobSource(artifact=code_reference(code))), "main")
    assert failure.value.hint


@pytest.mark.parametrize("by_name", [False, True])
def test_a_code_artifact(
    make: Callable[..., str], fetch: Callable[[str], Project], code: str, server: RunningServer, by_name: bool
) -> None:
    host = server.url.removeprefix("http://")
    named = f"wandb-artifact://{host}/me/engine/code-train:latest"
    source = JobSource(artifact=named if by_name else code_reference(code), entrypoint=("python", "train.py"))
    project = fetch(make("artifact", source))
    assert (project.directory / "train.py").read_text() == "print('hi')\n"
    assert project.entry_point == ("python", "train.py")


@pytest.mark.parametrize(
    ("kind", "source", "sentence"),
    [
        ("image", JobSource(), "names no container image"),
        ("video", JobSource(), "is of the kind 'video', which this agent does not know"),
        ("repo", JobSource(), "names no git repository"),
        ("artifact", JobSource(), "names no code artifact"),
        ("artifact", JobSource(artifact="file:///etc"), "is no artifact"),
    ],
)
def test_a_job_that_cannot_run_is_a_sentence(
    make: Callable[..., str], fetch: Callable[[str], Project], kind: str, source: JobSource, sentence: str
) -> None:
    with pytest.raises(SourceError, match=sentence) as failure:
        fetch(make(kind, source))
    assert failure.value.hint


def test_an_image_is_fetched_as_its_name_alone(make: Callable[..., str], fetch: Callable[[str], Project]) -> None:
    project = fetch(make("image", JobSource(image="busybox:1", entrypoint=("python3.11", "main.py"))))

    assert project.image == "busybox:1"
    # No interpreter of this host stands for the image's.
    assert project.entry_point == ("python3.11", "main.py")
    assert list(project.directory.iterdir()) == []


def test_what_an_image_is_built_from(make: Callable[..., str], fetch: Callable[..., Project], code: str) -> None:
    source = JobSource(
        artifact=code_reference(code),
        entrypoint=("pythonCPython 3.11", "train.py"),
        build_context="./parts/",
        dockerfile="docker/Dockerfile.wandb",
        base_image="base:1",
    )
    job = make("artifact", source, "requests==2.0\n", runtime="CPython 3.11.7")

    project = fetch(job, builder="docker")

    assert (project.directory / "parts" / "requirements.frozen.txt").is_file()

    assert (project.build_context, project.dockerfile) == ("parts", "docker/Dockerfile.wandb")
    assert (project.base_image, project.python) == ("base:1", "3.11")
    assert project.entry_point == ("python3.11", "train.py")
    # A process of this host has the Python of its environment.
    assert fetch(job, builder="venv").entry_point == ("python", "train.py")


def test_a_build_context_that_is_the_project_is_none(
    make: Callable[..., str], fetch: Callable[..., Project], code: str
) -> None:
    job = make("artifact", JobSource(artifact=code_reference(code), build_context="."), runtime=None)
    project = fetch(job)

    assert (project.build_context, project.python) == (None, None)


@pytest.mark.parametrize("key", ["build_context", "dockerfile"])
@pytest.mark.parametrize("path", ["/etc", "../other", "a/../../b"])
def test_a_path_out_of_the_project_is_refused(
    make: Callable[..., str], fetch: Callable[..., Project], code: str, key: str, path: str
) -> None:
    job = make("artifact", JobSource(artifact=code_reference(code), **{key: path}))

    with pytest.raises(InvalidSpec, match="leads out of the project"):
        fetch(job)


def test_a_notebook_becomes_a_script(
    make: Callable[..., str], fetch: Callable[..., Project], client: QueueServer, tmp_path: Path
) -> None:
    source = tmp_path / "notebooks"
    source.mkdir()
    cell = {"cell_type": "code", "source": ["!pip install x\n", "print('of a notebook')"]}
    (source / "train.ipynb").write_text(json.dumps({"nbformat": 4, "cells": [cell]}))
    code = upload_directory(client, "me", "engine", "code-notebook", source)
    job = make(
        "artifact", JobSource(artifact=code_reference(code), entrypoint=("python3.11", "train.ipynb"), notebook=True)
    )

    project = fetch(job)

    assert project.entry_point == ("python", "train.py")
    assert (project.directory / "train.py").read_text() == "print('of a notebook')\n"


def test_a_notebook_job_without_a_notebook(make: Callable[..., str], fetch: Callable[..., Project], code: str) -> None:
    job = make("artifact", JobSource(artifact=code_reference(code), entrypoint=("python", "train.py"), notebook=True))

    with pytest.raises(SourceError, match="names no notebook"):
        fetch(job)


def test_the_run_spec_wins_over_the_job() -> None:
    project = Project(Path("/x"), dockerfile="of-the-job", python="3.11")
    spec = parse_run_spec({"entity": "me", "project": "p", "python_version": "3.9.1"})

    assert overridden(project, spec) == project
    assert overridden(Project(Path("/x")), spec).python == "3.9"
    other = parse_run_spec({"entity": "me", "project": "p", "overrides": {"dockerfile": "./other"}})
    assert overridden(project, other).dockerfile == "other"
    outside = parse_run_spec({"entity": "me", "project": "p", "overrides": {"dockerfile": "../other"}})
    with pytest.raises(InvalidSpec, match=r"overrides\.dockerfile"):
        overridden(project, outside)


def test_where_the_command_runs_and_where_requirements_may_stand(tmp_path: Path) -> None:
    (tmp_path / "parts" / "train").mkdir(parents=True)
    spec = parse_run_spec({"entity": "me", "project": "p", "overrides": {"working_dir": "./train/"}})

    project = with_directories(overridden(Project(tmp_path, build_context="parts"), spec))

    assert (project.place, project.places) == ("parts/train", ("parts/train", "parts"))
    assert Project(tmp_path).places == ("",)


@pytest.mark.parametrize("path", ["missing", "file", "out", "in/../../x", "a\nb"])
def test_a_working_directory_that_is_none_of_the_project(tmp_path: Path, path: str) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "file").touch()
    (project / "out").symlink_to(tmp_path)
    spec = parse_run_spec({"entity": "me", "project": "p", "overrides": {"working_dir": path}})

    with pytest.raises(JobError) as failure:
        with_directories(overridden(Project(project), spec))
    assert failure.value.hint


def test_a_name_that_is_none(fetch: Callable[[str], Project]) -> None:
    with pytest.raises(InvalidSpec, match="is no name of a job"):
        fetch("a/b/c/d:e")


@pytest.mark.usefixtures("code")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [("nothing", "has no job me/engine/nothing:latest"), ("code-train:v0", "of type 'code', not a job")],
)
def test_no_such_job(fetch: Callable[[str], Project], name: str, sentence: str) -> None:
    with pytest.raises(SourceError, match=sentence):
        fetch(f"me/engine/{name}")
