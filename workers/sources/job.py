"""A job artifact of W&B: a file at the queue server that says what to run, and where its code is.

The same for `wandb job create` and `launchd job create`, on any server that speaks W&B's protocol.
"""

import re
import shutil
from contextlib import suppress
from pathlib import Path

from ipc.errors import InvalidSpec, SourceError
from ipc.run_spec import GitSpec
from launchd.client.artifacts import ARTIFACT_TYPE, download_artifact
from launchd.client.errors import Refused
from launchd.client.job_file import (
    CODE,
    FROZEN_FILE,
    IMAGE,
    PATCH_FILE,
    REPOSITORY,
    JobFile,
    JobName,
    code_of,
    parse_job_name,
)
from launchd.client.jobs import download_job, require_version
from launchd.client.queue_server import QueueServer
from workers.context import JobContext
from workers.sources import Project
from workers.sources.downloads import from_server
from workers.sources.git import fetch_repository

#: In the job's directory: the files of the job artifact.
JOB_DIRECTORY = "job"

_PYTHON = re.compile(r"python(?:CPython )?\s*\d+(?:\.\d+)*", re.ASCII)


class JobSource:
    """Reads the job and brings its code into the working directory."""

    def fetch(self, context: JobContext) -> Project:
        """Bring the files; the command is the job's own.

        Raises:
            InvalidSpec: the run spec's job is no name.
            SourceError: the job or its code cannot be had, or is of a kind that cannot be run here.
            PolicyRefused: this host's policy does not grant the URL of its repository.
            JobCancelled: the job was stopped meanwhile.
        """
        name = _name_of(context)
        files = context.directory / JOB_DIRECTORY
        job = from_server(context, f"The job {name}", lambda server: download_job(server, name, files))
        _check(name, job)
        if job.source_type == REPOSITORY:
            _fetch_repository(context, name, job, files)
        else:
            _fetch_code(context, name, job, files)
        return Project(context.work, _command(job.source.entrypoint or ()))


def _name_of(context: JobContext) -> JobName:
    spec = context.order.spec
    try:
        return parse_job_name(spec.job or "", spec.entity, spec.project)
    except Refused as error:
        raise InvalidSpec(str(error), hint="See the names with: launchd job list.") from error


def _check(name: JobName, job: JobFile) -> None:
    if job.source_type == IMAGE:
        raise SourceError(
            f"The job {name} is the container image {job.source.image}, which this agent cannot run yet.",
            hint="It runs jobs made from a git repository or a code directory.",
        )
    if job.source_type not in (REPOSITORY, CODE):
        raise SourceError(
            f"The job {name} is of the kind {job.source_type!r}, which this agent does not know.",
            hint=f"It knows: {REPOSITORY}, {CODE}.",
        )
    if job.source.notebook:
        raise SourceError(
            f"The job {name} is a notebook, which this agent does not convert.", hint="Make the job from a script."
        )


def _fetch_repository(context: JobContext, name: JobName, job: JobFile, files: Path) -> None:
    git = job.source.git
    if git is None:
        raise SourceError(f"The job {name} names no git repository.", hint="Make it again.")
    patch, wanted = files / PATCH_FILE, context.order.spec.git.version
    # The patch belongs to the job's own commit.
    fetch_repository(
        context, GitSpec(git.remote, wanted or git.commit), patch if patch.is_file() and not wanted else None
    )
    _keep_requirements(context, files)


def _fetch_code(context: JobContext, name: JobName, job: JobFile, files: Path) -> None:
    _keep_requirements(context, files)
    if context.order.spec.git.version:
        raise SourceError(
            f"The job {name} is a code directory, of which there is no version {context.order.spec.git.version}.",
            hint="Launch it without a version.",
        )
    reference = job.source.artifact
    if reference is None:
        raise SourceError(f"The job {name} names no code artifact.", hint="Make it again.")
    from_server(context, f"The code of job {name}", lambda server: _download_code(server, reference, context.work))


def _download_code(server: QueueServer, reference: str, into: Path) -> None:
    code = code_of(reference)
    artifact = code if isinstance(code, str) else require_version(server, code, ARTIFACT_TYPE).id
    download_artifact(server, artifact, into)


def _keep_requirements(context: JobContext, files: Path) -> None:
    """The packages of the run that the job was made from, for a project that names none itself."""
    frozen, wanted = files / FROZEN_FILE, context.work / FROZEN_FILE
    if not frozen.is_file():
        return
    # In its place a repository may have a link, and that may lead anywhere.
    with suppress(FileNotFoundError):
        wanted.unlink()
    with frozen.open("rb") as source, wanted.open("xb") as copy:
        shutil.copyfileobj(source, copy)


def _command(entry_point: tuple[str, ...]) -> tuple[str, ...]:
    """A Python of a version that the job was made with stands for the one of its environment here."""
    if entry_point and _PYTHON.fullmatch(entry_point[0]):
        return ("python", *entry_point[1:])
    return entry_point
