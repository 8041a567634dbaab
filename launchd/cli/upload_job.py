"""Jobs of directories: the upload of their files, for `launchd job create` and `launchd launch`."""

from pathlib import Path

from launchd.api.job_sources import JobOptions, NewJob, directory_job
from launchd.cli.upload_view import UploadView
from launchd.client.artifacts import upload_directory
from launchd.client.job_file import code_reference, safe_name
from launchd.client.queue_server import QueueServer


def upload_job(
    server: QueueServer,
    entity: str,
    project: str,
    directory: Path,
    name: str | None,
    options: JobOptions,
    include: tuple[str, ...],
) -> NewJob:
    """Upload a directory as a code artifact and return its job, which is still to be created.

    ``name`` is that of the job, None for one made from the directory's; ``include`` are patterns of files that are
    uploaded although they may hold secrets.
    """
    code_name = f"code-{name or safe_name(directory.resolve().name)}"
    with UploadView() as view:
        artifact_id = upload_directory(
            server, entity, project, code_name, directory, include=include, on_listed=view.listed, on_sent=view.sent
        )
    return directory_job(directory, code_reference(artifact_id), code_name, options)
