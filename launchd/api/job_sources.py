"""Job files, of a git repository, a directory or an image.

Names of jobs and the default entry point are W&B's, so that both command lines create the same jobs.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ipc.git_address import without_credentials
from launchd.client.errors import Refused
from launchd.client.job_file import CODE, IMAGE, REPOSITORY, GitCommit, JobFile, JobSource, safe_name

GIT_SECONDS = 60.0
_LEFT_OUT = "The job has no credentials of the repository"
_LEFT_OUT_HINT = "all who see it could read them. The host that runs it needs its own (launchd.policy.git_credentials)."
DEFAULT_ENTRY_POINT = ("python", "main.py")

#: A command that ends with such a file is that of a notebook, which the agent makes a script of.
NOTEBOOK_SUFFIX = ".ipynb"

_COMMIT = re.compile(r"[0-9a-fA-F]{40}(?:[0-9a-fA-F]{24})?")
_DEFAULT_REFS = ("refs/heads/main", "refs/heads/master", "HEAD")
_TAG = re.compile(r"(?P<image>.+?)(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@[^@]+)?", re.ASCII)


class JobOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a job beside its source."""

    entry_point: tuple[str, ...] = DEFAULT_ENTRY_POINT
    runtime: str | None = None
    build_context: str | None = None
    dockerfile: str | None = None
    base_image: str | None = None

    @property
    def is_notebook(self) -> bool:
        """Whether the command names a notebook."""
        return bool(self.entry_point) and self.entry_point[-1].endswith(NOTEBOOK_SUFFIX)

    @property
    def needs_job(self) -> bool:
        """Whether a run spec alone cannot say all that is said here: a job can."""
        return self.is_notebook or bool(self.build_context or self.dockerfile or self.base_image)


class NewJob(msgspec.Struct, frozen=True):
    """A job to create; `name` is its default name, `warning` a sentence for who makes it."""

    name: str
    job: JobFile
    aliases: tuple[str, ...] = ()
    requirements: str = ""
    warning: str | None = None


def repository_job(url: str, version: str | None, options: JobOptions) -> NewJob:
    """Return a job of a repository at the present commit of `version`, a branch, tag or commit.

    Credentials in the address are used to look the commit up, and are no part of the job: all who see it could read
    them.

    Raises:
        Refused: there is no such repository or version.
    """
    if any(".." in Path(argument).parts for argument in options.entry_point):
        raise Refused("The entry point leads out of the repository.")
    try:
        shown, secrets = without_credentials(url)
    except ValueError as error:
        raise Refused(f"The address of the git repository cannot be read: {error}.") from error
    repository = _Repository(url, shown, secrets)
    source = _job_source(options, git=GitCommit(shown, _resolve_commit(repository, version)))
    name = safe_name(f"job-{shown}_{_program(options.entry_point)}")
    warning = f"{_LEFT_OUT} {shown}: {_LEFT_OUT_HINT}" if secrets else None
    return NewJob(name, _job_file(REPOSITORY, source, options), warning=warning)


def directory_job(directory: Path, artifact_reference: str, code_name: str, options: JobOptions) -> NewJob:
    """Return a job of a directory that was uploaded as a code artifact."""
    requirements = directory / "requirements.txt"
    text = requirements.read_text(errors="replace") if requirements.is_file() else ""
    name = code_name.replace("code", "job", 1)
    return NewJob(name, _job_file(CODE, _job_source(options, artifact=artifact_reference), options), requirements=text)


def image_job(image: str) -> NewJob:
    """Return a job of an image, with its tag as an alias. Raises :class:`Refused` for what is no image."""
    found = _TAG.fullmatch(image)
    if found is None or any(character.isspace() for character in image) or image.startswith("-"):
        raise Refused(f"{image!r} is no image.")
    aliases = (found["tag"],) if found["tag"] else ()
    return NewJob(safe_name(f"job-{found['image']}"), JobFile(IMAGE, JobSource(image=image), ""), aliases)


def _job_source(options: JobOptions, git: GitCommit | None = None, artifact: str | None = None) -> JobSource:
    return JobSource(
        git=git,
        artifact=artifact,
        entrypoint=options.entry_point,
        notebook=options.is_notebook,
        build_context=options.build_context,
        dockerfile=options.dockerfile,
        base_image=options.base_image,
    )


def _job_file(kind: str, source: JobSource, options: JobOptions) -> JobFile:
    running_version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return JobFile(kind, source, options.runtime or running_version)


def _program(entry_point: Sequence[str]) -> str:
    """Return the program of a command: its first script, else its last argument."""
    scripts = [argument for argument in entry_point if argument.endswith((".py", ".sh"))]
    return scripts[0] if scripts else entry_point[-1]


class _Repository(msgspec.Struct, frozen=True):
    """A repository: `url` for git, `shown` for people, `secrets` to be kept out of what git says."""

    url: str
    shown: str
    secrets: tuple[str, ...]

    def environment(self) -> dict[str, str]:
        """Return git's environment, by which it puts the credentials in: arguments can be read by all users."""
        if not self.secrets:
            return dict(os.environ)
        own = {"GIT_CONFIG_KEY_0": f"url.{self.url}.insteadOf", "GIT_CONFIG_VALUE_0": self.shown}
        return os.environ | {"GIT_CONFIG_COUNT": "1"} | own

    def redacted(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text


def _resolve_commit(repository: _Repository, version: str | None) -> str:
    if version is not None and _COMMIT.fullmatch(version):
        return version.lower()
    refs = (
        _DEFAULT_REFS
        if version is None
        else (f"refs/heads/{version}", f"refs/tags/{version}^{{}}", f"refs/tags/{version}")
    )
    advertised = _list_refs(repository, refs)
    found = next((advertised[ref] for ref in refs if ref in advertised), None)
    if found is None:
        what = "is empty" if version is None else f"has no branch or tag {version!r}"
        raise Refused(f"The repository {repository.shown} {what}. Name a branch, a tag or a whole commit.")
    return found


def _list_refs(repository: _Repository, refs: Sequence[str]) -> dict[str, str]:
    """Return the commit of each of ``refs`` that the repository has."""
    command = ["git", "ls-remote", "--quiet", "--", repository.shown, *refs]
    try:
        done = subprocess.run(
            command, env=repository.environment(), capture_output=True, text=True, timeout=GIT_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise Refused("There is no git on this machine, which looks up the commit.") from error
    except subprocess.TimeoutExpired as error:
        raise Refused(f"The repository {repository.shown} did not answer within {GIT_SECONDS:g} s.") from error
    if done.returncode != 0:
        said = repository.redacted(done.stderr.strip())
        raise Refused(f"The repository {repository.shown} cannot be read: {said}")
    pairs = (line.split("\t", 1) for line in done.stdout.splitlines() if "\t" in line)
    return {ref: commit for commit, ref in pairs}
