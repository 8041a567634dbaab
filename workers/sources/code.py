"""A code directory that was uploaded to the queue server as an artifact."""

from launchd.client.artifacts import download_artifact
from workers.context import JobContext
from workers.sources import DEFAULT_ENTRY_POINT, Project
from workers.sources.downloads import from_server


class CodeSource:
    """Downloads the directory into the job's working directory."""

    def fetch(self, context: JobContext) -> Project:
        """Bring the files; the suggested command is ``python main.py``.

        Raises:
            SourceError: the artifact cannot be had.
            JobCancelled: the job was stopped meanwhile.
        """
        artifact = context.order.spec.code_artifact or ""
        from_server(
            context, "The job's code directory", lambda server: download_artifact(server, artifact, context.work)
        )
        return Project(context.work, DEFAULT_ENTRY_POINT)
