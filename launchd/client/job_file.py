"""`wandb-job.json`, the file that makes an artifact a job: its content, and the names of jobs.

The form is W&B's: https://docs.wandb.ai/guides/launch (job artifacts). Keys that only W&B's job builder reads
(`input_types`, `output_types`) are written as it writes them for a job that never ran.
"""

import re
from pathlib import Path
from typing import Any

import msgspec

from launchd.client.errors import Refused

JOB_FILE = "wandb-job.json"
FROZEN_FILE = "requirements.frozen.txt"
PATCH_FILE = "diff.patch"

REPOSITORY, CODE, IMAGE = "repo", "artifact", "image"
"""Source types: a git repository, a code artifact, a container image."""

CODE_REFERENCE = "wandb-artifact://"
_BY_ID = "wandb-artifact://_id/"
# Names of W&B's example jobs have spaces: "wandb/jobs/Hello World:latest".
_NAME = re.compile(
    r"(?P<entity>[^/:\s]+)/(?P<project>[^/:\s]+)/(?P<name>[^/:\s]+(?: [^/:\s]+)*)(?::(?P<alias>[^/:\s]+))?"
)
_UNSAFE = re.compile(r"[^a-zA-Z0-9_\-.]")
_MAX_NAME_LENGTH = 128
_ANY_TYPE: dict[str, Any] = {"wb_type": "typedDict", "params": {"type_map": {}}}


class GitCommit(msgspec.Struct, frozen=True):
    """The repository and commit of a job's code."""

    remote: str
    commit: str | None = None


class JobSource(msgspec.Struct, frozen=True, omit_defaults=True):
    """The source of a job; which of the fields are set depends on the job's source type."""

    git: GitCommit | None = None
    artifact: str | None = None
    image: str | None = None
    entrypoint: tuple[str, ...] | None = None
    notebook: bool | None = None
    build_context: str | None = None
    dockerfile: str | None = None
    base_image: str | None = None


class JobFile(msgspec.Struct, frozen=True):
    """The content of the file. `runtime` is a version of Python, such as `3.11`; empty for images."""

    source_type: str
    source: JobSource
    runtime: str | None = None
    input_types: Any = msgspec.field(default_factory=lambda: _ANY_TYPE)
    output_types: Any = msgspec.field(default_factory=lambda: _ANY_TYPE)
    version: str = msgspec.field(default="v0", name="_version")


_decoder = msgspec.json.Decoder(JobFile)


class JobName(msgspec.Struct, frozen=True):
    """The parts of `ENTITY/PROJECT/NAME:ALIAS`."""

    entity: str
    project: str
    name: str
    alias: str = "latest"

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.name}:{self.alias}"

    @property
    def in_project(self) -> str:
        """`NAME:ALIAS`, by which a server finds the job in its project."""
        return f"{self.name}:{self.alias}"


def parse_job_name(text: str, entity: str | None = None, project: str | None = None) -> JobName:
    """Parse the name of a job. The default alias is `latest`; `entity` and `project` are the defaults of these parts.

    Raises:
        Refused: it is no name of a job.
    """
    left_out = max(0, 2 - text.count("/"))
    found = _NAME.fullmatch("/".join([*(part or "" for part in (entity, project)[:left_out]), text]))
    if found is None:
        raise Refused(f"{text[:200]!r} is no name of a job: write it as ENTITY/PROJECT/NAME:ALIAS.")
    return JobName(found["entity"], found["project"], found["name"], found["alias"] or "latest")


def read_job_file(path: Path) -> JobFile:
    """Read the file of a job.

    Raises:
        Refused: its content is no job.
        OSError: it cannot be read.
    """
    try:
        return _decoder.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"The job's {path.name} cannot be understood: {error}.") from error


def code_reference(artifact_id: str) -> str:
    """Return the reference by which a job names its code artifact."""
    return f"{_BY_ID}{artifact_id}"


def code_of(reference: str) -> str | JobName:
    """Return the code artifact that a job refers to: its id, or its name.

    Raises:
        Refused: it is no reference to an artifact.
    """
    if reference.startswith(_BY_ID):
        return reference.removeprefix(_BY_ID)
    if not reference.startswith(CODE_REFERENCE):
        raise Refused(f"The job's code, {reference[:200]!r}, is no artifact.")
    # A server's address may precede the name; the artifact is looked up at the job's server all the same.
    path = reference.removeprefix(CODE_REFERENCE).split("/")
    return parse_job_name("/".join(path[-3:]))


def safe_name(text: str) -> str:
    """Return a name that W&B accepts for an artifact: letters, digits, dash, dot, underscore, at most 128 of them."""
    safe = _UNSAFE.sub("_", text)
    return safe if len(safe) <= _MAX_NAME_LENGTH else f"{safe[:63]}..{safe[-63:]}"
