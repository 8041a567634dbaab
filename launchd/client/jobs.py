"""Jobs at a queue server: look up, list, download, create. Owns the two files of a job artifact."""

import tempfile
from pathlib import Path

import msgspec

from launchd.client.artifact_logging import NewArtifact, log_artifact
from launchd.client.artifacts import download_artifact
from launchd.client.errors import Refused
from launchd.client.job_file import FROZEN_FILE, JOB_FILE, JobFile, JobName, read_job_file
from launchd.client.models import ArtifactVersion
from launchd.client.operations import artifacts
from launchd.client.queue_server import QueueServer
from launchd.client.transport import encoded
from launchd.client.upload_dir import CodeFile

JOB_TYPE = "job"

_NEVER_RAN = {"_partial": True}
"""Metadata of a job that no run of it has described yet."""


class CreatedJob(msgspec.Struct, frozen=True):
    """The result of :func:`create_job`: the job's name, and `created`, `updated` (a new version) or `unchanged`."""

    name: JobName
    outcome: str


def find_version(server: QueueServer, name: JobName) -> ArtifactVersion | None:
    """Return the version of an artifact of that name, or None."""
    variables = {"entity": name.entity, "project": name.project, "name": name.in_project}
    if server.capabilities().artifact_memberships:
        found = server.transport.call(artifacts.MEMBERSHIP_BY_NAME, variables).result
        membership = found.artifact_collection_membership if found else None
        return membership.artifact if membership else None
    found = server.transport.call(artifacts.ARTIFACT_BY_NAME, variables).result
    return found.artifact if found else None


def require_version(server: QueueServer, name: JobName, type_name: str) -> ArtifactVersion:
    """Return the version of an artifact of that name; raises `Refused` where there is none of this type."""
    found = find_version(server, name)
    if found is None or found.state == "DELETED":
        raise Refused(f"The server at {server.base_url} has no {type_name} {name}.")
    if found.artifact_type.name != type_name:
        raise Refused(f"{name} is an artifact of type {found.artifact_type.name!r}, not a {type_name}.")
    return found


def download_job(server: QueueServer, name: JobName, into: Path) -> JobFile:
    """Download the files of a job into a directory and return the content of its job file.

    Raises:
        QueueServerError: as `errors.py` says; `Refused` also for an unknown job and a job file that is none.
        OSError: a file cannot be written.
    """
    download_artifact(server, require_version(server, name, JOB_TYPE).id, into)
    if not (into / JOB_FILE).is_file():
        raise Refused(f"The job {name} has no {JOB_FILE}.")
    return read_job_file(into / JOB_FILE)


def list_jobs(server: QueueServer, entity: str, project: str) -> list[ArtifactVersion]:
    """Return all versions of all jobs of a project, in the server's order."""
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
) -> CreatedJob:
    """Create a job, or a new version of one; `requirements` are its frozen packages, a line each.

    Raises:
        QueueServerError: as `errors.py` says.
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
        logged = log_artifact(server, artifact, [_written(Path(directory), *file) for file in contents.items()])
    outcome = "unchanged" if logged.known else "created" if logged.first else "updated"
    return CreatedJob(name, outcome)


def _written(directory: Path, name: str, content: bytes) -> CodeFile:
    path = directory / name
    path.write_bytes(content)
    return CodeFile(name, path, len(content), executable=False)
