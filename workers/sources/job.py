"""A job artifact of W&B: a file at the queue server that says what to run, and where its code is.

The same for `wandb job create` and `launchd job create`, on any server that speaks W&B's protocol.
"""

import os
import shutil
from contextlib import suppress
from pathlib import Path

from ipc.errors import InvalidSpec, SourceError
from ipc.git_address import without_credentials
from ipc.run_spec import GitSpec
from ipc.targets import VENV
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
from workers.sources import Project, path_within, with_directories
from workers.sources.downloads import from_server
from workers.sources.git import fetch_repository
from workers.sources.notebook import SUFFIX, convert_notebook
from workers.sources.python_version import is_python, python_command, python_version

#: In the job's directory: the files of the job artifact.
JOB_DIRECTORY = "job"


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
        if job.source_type == IMAGE:
            return _image_project(context, name, job)
        if job.source_type == REPOSITORY:
            _fetch_repository(context, name, job, files)
        else:
            _fetch_code(context, name, job, files)
        return _project(context, name, job)


def _name_of(context: JobContext) -> JobName:
    spec = context.order.spec
    try:
        return parse_job_name(spec.job or "", spec.entity, spec.project)
    except Refused as error:
        raise InvalidSpec(str(error), hint="See the names with: launchd job list.") from error


def _check(name: JobName, job: JobFile) -> None:
    if job.source_type not in (REPOSITORY, CODE, IMAGE):
        raise SourceError(
            f"The job {name} is of the kind {job.source_type!r}, which this agent does not know.",
            hint=f"It knows: {REPOSITORY}, {CODE}, {IMAGE}.",
        )


def _image_project(context: JobContext, name: JobName, job: JobFile) -> Project:
    if not job.source.image:
        raise SourceError(f"The job {name} names no container image.", hint="Make it again.")
    # Its command is meant for the image as it stands: no interpreter of this host is put in.
    return Project(context.work, job.source.entrypoint or (), job.source.image)


def _fetch_repository(context: JobContext, name: JobName, job: JobFile, files: Path) -> None:
    git = job.source.git
    if git is None:
        raise SourceError(f"The job {name} names no git repository.", hint="Make it again.")
    patch, wanted = files / PATCH_FILE, context.order.spec.git.version
    remote = _with_credentials(git.remote, context.order.spec.git.repo)
    # The patch belongs to the job's own commit.
    fetch_repository(context, GitSpec(remote, wanted or git.commit), patch if patch.is_file() and not wanted else None)
    _keep_requirements(files, _context_directory(context, name, job))


def _with_credentials(remote: str, given: str | None) -> str:
    """Return the address of a job's repository, as the run spec gives it where that is the same with credentials."""
    # What is no address is judged where it is fetched.
    with suppress(ValueError):
        if given and without_credentials(given)[0] == without_credentials(remote)[0]:
            return given
    return remote


def _fetch_code(context: JobContext, name: JobName, job: JobFile, files: Path) -> None:
    if context.order.spec.git.version:
        raise SourceError(
            f"The job {name} is a code directory, of which there is no version {context.order.spec.git.version}.",
            hint="Launch it without a version.",
        )
    reference = job.source.artifact
    if reference is None:
        raise SourceError(f"The job {name} names no code artifact.", hint="Make it again.")
    from_server(context, f"The code of job {name}", lambda server: _download_code(server, reference, context.work))
    _keep_requirements(files, _context_directory(context, name, job), replace=False)


def _context_directory(context: JobContext, name: JobName, job: JobFile) -> Path:
    project = Project(context.work, build_context=_build_context(name, job))
    return context.work / (with_directories(project).build_context or "")


def _download_code(server: QueueServer, reference: str, into: Path) -> None:
    code = code_of(reference)
    artifact = code if isinstance(code, str) else require_version(server, code, ARTIFACT_TYPE).id
    download_artifact(server, artifact, into)


def _keep_requirements(files: Path, directory: Path, *, replace: bool = True) -> None:
    """The packages of the run that the job was made from, for a project that names none itself."""
    frozen, wanted = files / FROZEN_FILE, directory / FROZEN_FILE
    if not frozen.is_file() or (not replace and os.path.lexists(wanted)):
        return
    # In its place a repository may have a link, and that may lead anywhere.
    with suppress(FileNotFoundError):
        wanted.unlink()
    with frozen.open("rb") as source, wanted.open("xb") as copy:
        shutil.copyfileobj(source, copy)


def _project(context: JobContext, name: JobName, job: JobFile) -> Project:
    source = job.source
    return Project(
        context.work,
        _command(context, name, job),
        dockerfile=path_within(source.dockerfile, f"The Dockerfile of job {name},") if source.dockerfile else None,
        build_context=_build_context(name, job),
        base_image=source.base_image or None,
        python=_python(context, name, job),
    )


def _python(context: JobContext, name: JobName, job: JobFile) -> str | None:
    version = python_version(job.runtime)
    if job.runtime and version is None and _runs_in_image(context):
        context.warn(
            f"The job {name} was made with {job.runtime!r}, which is no version of Python known here.", "build"
        )
    return version


def _runs_in_image(context: JobContext) -> bool:
    return context.order.builder not in (None, VENV)


def _build_context(name: JobName, job: JobFile) -> str | None:
    given = job.source.build_context
    return (path_within(given, f"The build context of job {name},") or None) if given else None


def _command(context: JobContext, name: JobName, job: JobFile) -> tuple[str, ...]:
    words = job.source.entrypoint or ()
    if job.source.notebook:
        words = _of_script(_context_directory(context, name, job), name, words)
    if not words or not is_python(words[0]):
        return words
    # On this host the environment has one Python; an image may have it by the name of its version alone.
    return (python_command(words[0]) if _runs_in_image(context) else "python", *words[1:])


def _of_script(directory: Path, name: JobName, words: tuple[str, ...]) -> tuple[str, ...]:
    """Convert the notebook that is the command's last word, by W&B's rule; return the command with the script."""
    if not words or not words[-1].endswith(SUFFIX):
        raise SourceError(f"The job {name} names no notebook.", hint="Make it again, with its notebook as last word.")
    return (*words[:-1], convert_notebook(directory, words[-1]))
