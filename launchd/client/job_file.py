"""`wandb-job.json`, the one file that makes an artifact a job. Owns its form and its names; no I/O but for the file.

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
# Jobs of W&B's own are named with spaces: "wandb/jobs/Hello World:latest".
_NAME = re.compile(
    r"(?P<entity>[^/:\s]+)/(?P<project>[^/:\s]+)/(?P<name>[^/:\s]+(?: [^/:\s]+)*)(?::(?P<alias>[^/:\s]+))?"
)
_UNSAFE = re.compile(r"[^a-zA-Z0-9_\-.]")
_LONGEST_NAME = 128
_ANY_TYPE: dict[str, Any] = {"wb_type": "typedDict", "params": {"type_map": {}}}


class GitCommit(msgspec.Struct, frozen=True):
    """Where the code of a job lies in git."""

    remote: str
    commit: str | None = None


class JobSource(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a job runs; which of the keys are there depends on the job's source type."""

    git: GitCommit | None = None
    artifact: str | None = None
    image: str | None = None
    entrypoint: tuple[str, ...] | None = None
    notebook: bool | None = None
    build_context: str | None = None
    dockerfile: str | None = None
    base_image: str | None = None


class JobFile(msgspec.Struct, frozen=True):
    """The content of the file. `runtime` is a version of Python, as `3.11`; empty for images."""

    source_type: str
    source: JobSource
    runtime: str | None = None
    input_types: Any = msgspec.field(default_factory=lambda: _ANY_TYPE)
    output_types: Any = msgspec.field(default_factory=lambda: _ANY_TYPE)
    version: str = msgspec.field(default="v0", name="_version")


_decoder = msgspec.json.Decoder(JobFile)


class JobName(msgspec.Struct, frozen=True):
    """`ENTITY/PROJECT/NAME:ALIAS`, taken apart."""

    entity: str
    project: str
    name: str
    alias: str = "latest"

    def __str__(self) -> str:
        return f"{self.entity}/{self.project}/{self.name}:{self.alias}"

    @property
    def in_project(self) -> str:
        """What a server finds it by, in its project."""
        return f"{self.name}:{self.alias}"


def parse_job_name(text: str, entity: str | None = None, project: str | None = None) -> JobName:
    """Take the name of a job apart. Without an alias it is the latest version; `entity` and `project` fill in.

    Raises:
        Refused: it is no such name.
    """
    left_out = max(0, 2 - text.count("/"))
    found = _NAME.fullmatch("/".join([*(part or "" for part in (entity, project)[:left_out]), text]))
    if found is None:
        raise Refused(f"{text[:200]!r} is no name of a job: write it as ENTITY/PROJECT/NAME:ALIAS.")
    return JobName(found["entity"], found["project"], found["name"], found["alias"] or "latest")


def read_job_file(path: Path) -> JobFile:
    """Read the file of a job.

    Raises:
        Refused: it is none that can be understood.
        OSError: it cannot be read.
    """
    try:
        return _decoder.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"The job's {path.name} cannot be understood: {error}.") from error


def code_reference(artifact_id: str) -> str:
    """How a job names its code artifact."""
    return f"{_BY_ID}{artifact_id}"


def code_of(reference: str) -> str | JobName:
    """The code artifact that a job names: its id, or its name.

    Raises:
        Refused: it names none.
    """
    if reference.startswith(_BY_ID):
        return reference.removeprefix(_BY_ID)
    if not reference.startswith(CODE_REFERENCE):
        raise Refused(f"The job's code, {reference[:200]!r}, is no artifact.")
    # A server's address may stand before the name; the job's own server is the one that is asked.
    path = reference.removeprefix(CODE_REFERENCE).split("/")
    return parse_job_name("/".join(path[-3:]))


def safe_name(text: str) -> str:
    """A name that W&B takes for an artifact: of letters, digits, dash, dot and underscore, at most 128."""
    safe = _UNSAFE.sub("_", text)
    return safe if len(safe) <= _LONGEST_NAME else f"{safe[:63]}..{safe[-63:]}"
