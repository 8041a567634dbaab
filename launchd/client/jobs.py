"""Jobs at a queue server: found by name, listed, made from a job file. Owns the two files of a job artifact."""

import tempfile
from pathlib import Path

import msgspec

from launchd.client.artifact_logging import NewArtifact, log_artifact
from launchd.client.artifact_models import ArtifactVersion
from launchd.client.artifacts import download_artifact
from launchd.client.errors import Refused
from launchd.client.job_file import FROZEN_FILE, JOB_FILE, JobFile, JobName, read_job_file
from launchd.client.operations import artifacts
from launchd.client.queue_server import QueueServer
from launchd.client.transport import encoded
from launchd.client.upload_dir import CodeFile

JOB_TYPE = "job"

_NEVER_RAN = {"_partial": True}
"""Metadata of a job that no run of it has described yet."""


class MadeJob(msgspec.Struct, frozen=True):
    """A job that was made: its name, and whether it is new (`created`, `updated`) or was there (`unchanged`)."""

    name: JobName
    outcome: str


def find_version(server: QueueServer, name: JobName) -> ArtifactVersion | None:
    """The version of an artifact that a name stands for, asked for in the server's own way."""
    variables = {"entity": name.entity, "project": name.project, "name": name.in_project}
    if server.capabilities().artifact_memberships:
        found = server.transport.call(artifacts.MEMBERSHIP_BY_NAME, variables).result
        membership = found.artifact_collection_membership if found else None
        return membership.artifact if membership else None
    found = server.transport.call(artifacts.ARTIFACT_BY_NAME, variables).result
    return found.artifact if found else None


def require_version(server: QueueServer, name: JobName, type_name: str) -> ArtifactVersion:
    """As `find_version`. `Refused` where there is none of this type."""
    found = find_version(server, name)
    if found is None or found.state == "DELETED":
        raise Refused(f"The server at {server.base_url} has no {type_name} {name}.")
    if found.artifact_type.name != type_name:
        raise Refused(f"{name} is an artifact of type {found.artifact_type.name!r}, not a {type_name}.")
    return found


def download_job(server: QueueServer, name: JobName, into: Path) -> JobFile:
    """Bring the files of a job into a directory and read the one that says what it runs.

    Raises the four errors of `errors.py`, `Refused` also where there is no such job or its file cannot be understood,
    and `OSError`.
    """
    download_artifact(server, require_version(server, name, JOB_TYPE).id, into)
    if not (into / JOB_FILE).is_file():
        raise Refused(f"The job {name} has no {JOB_FILE}.")
    return read_job_file(into / JOB_FILE)


def list_jobs(server: QueueServer, entity: str, project: str) -> list[ArtifactVersion]:
    """All versions of all jobs of a project, as the server orders them."""
    found: list[ArtifactVersion] = []
    after: str | None = None
    while True:
        variables = {"entity": entity, "project": project, "type": JOB_TYPE, "after": after}
        known = server.transport.call(artifacts.ARTIFACTS_OF_TYPE, variables).result
        page = known.artifact_type.artifact_collections if known and known.artifact_type else None
        if page is None:
            return found
        for collection in page.nodes:
            found += collection.artifacts.nodes if collection.artifacts else []
        after = page.next_page
        if after is None:
            return found


def create_job(
    server: QueueServer,
    name: JobName,
    job: JobFile,
    *,
    requirements: str = "",
    aliases: tuple[str, ...] = (),
    description: str | None = None,
) -> MadeJob:
    """Make a job, or a new version of one; `requirements` are its frozen packages, a line each.

    Raises the four errors of `errors.py`.
    """
    artifact = NewArtifact(
        entity=name.entity,
        project=name.project,
        type=JOB_TYPE,
        name=name.name,
        metadata=_NEVER_RAN,
        description=description,
        aliases=aliases,
    )
    contents = {JOB_FILE: encoded(job), FROZEN_FILE: requirements.encode()}
    with tempfile.TemporaryDirectory() as directory:
        made = log_artifact(server, artifact, [_written(Path(directory), *file) for file in contents.items()])
    outcome = "unchanged" if made.known else "created" if made.first else "updated"
    return MadeJob(name, outcome)


def _written(directory: Path, name: str, content: bytes) -> CodeFile:
    path = directory / name
    path.write_bytes(content)
    return CodeFile(name, path, len(content), executable=False)
