"""Jobs at a queue server: look up, list, download, create. Owns the two files of a job artifact."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from launchd.client.artifact_logging import NewArtifact, log_artifact
from launchd.client.artifacts import download_artifact
from launchd.client.errors import Refused
from launchd.client.job_file import FROZEN_FILE, JOB_FILE, JobFile, JobName, parse_job_name, read_job_file
from launchd.client.models.artifacts import ArtifactVersion
from launchd.client.operations import artifacts
from launchd.client.queue_server import Item, QueueServer
from launchd.client.transport import encoded
from launchd.client.upload_dir import CodeFile

JOB_TYPE = "job"

#: States of items that have not ended.
_OPEN = ("PENDING", "LEASED", "CLAIMED")

#: The most items of a queue that are looked at.
_MOST_ITEMS = 1000

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


def versions_of(server: QueueServer, name: JobName) -> list[ArtifactVersion]:
    """Return the versions of a job, whichever alias is named; none for an unknown job."""
    known = list_jobs(server, name.entity, name.project)
    return [version for version in known if version.artifact_sequence.name == name.name]


def items_that_name(server: QueueServer, name: JobName, version: ArtifactVersion | None = None) -> list[Item]:
    """Return the items in the queues of the job's entity that name it, or that version of it, and have not ended.

    Looks at the newest 1,000 items of each queue.
    """
    found = [
        item
        for queue in server.queue_details(name.entity)
        for item in server.queue_items(name.entity, queue.name, _MOST_ITEMS)
    ]
    return [item for item in found if item.state in _OPEN and _names(item, name, version)]


def _names(item: Item, name: JobName, version: ArtifactVersion | None) -> bool:
    match (item.run_spec or {}).get("job"):
        case str() as text:
            pass
        case _:
            return False
    try:
        named = parse_job_name(text, name.entity, name.project)
    except Refused:
        return False
    if (named.entity, named.project, named.name) != (name.entity, name.project, name.name):
        return False
    return version is None or named.alias in aliases_of(version)


def aliases_of(version: ArtifactVersion) -> set[str]:
    """Return the aliases by which a version can be named, its number among them."""
    return {f"v{version.version_index}", *(alias.alias for alias in version.aliases)}


def delete_job(server: QueueServer, versions: Sequence[ArtifactVersion]) -> None:
    """Delete a job, of which these are the versions, at least one; the code and images that they name stay."""
    server.transport.call(artifacts.DELETE_COLLECTION, {"id": versions[0].artifact_sequence.id})


def delete_version(server: QueueServer, version: ArtifactVersion) -> None:
    """Delete one version of a job with its aliases; `latest` passes to the newest one that is left."""
    server.transport.call(artifacts.DELETE_VERSION, {"id": version.id})


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
