"""Runs as a program writes them that is no `wandb`: open one, keep files with it, show that it lives, end it.

Owns the mapping of these operations to documents; one part of `QueueServer`.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from launchd.client.base import ClientBase
from launchd.client.operations import runs


class RunOperations(ClientBase):
    """Operations on runs of our own."""

    def open_run(self, entity: str, project: str, run_id: str, job_type: str) -> None:
        """Create a run, or set it running again."""
        self._call(runs.OPEN_RUN, entity=entity, project=project, name=run_id, jobType=job_type)

    def upload_run_file(self, entity: str, project: str, run_id: str, name: str, content: bytes) -> None:
        """Keep `content` with a run as its file `name`, a relative path."""
        created = self._call(runs.CREATE_RUN_FILES, entity=entity, project=project, run=run_id, files=[name])
        for file in created.files:
            self.transport.upload(file.upload_url, created.headers(), content)
        self.tell_run(entity, project, run_id, {"uploaded": [name]})

    def tell_run(self, entity: str, project: str, run_id: str, news: Mapping[str, Any]) -> None:
        """Send something to a run's file stream: `uploaded`, `complete` with `exitcode`, or nothing, a heartbeat."""
        place = "/".join(quote(part, safe="") for part in (entity, project, run_id))
        self.transport.post(f"files/{place}/file_stream", news)
