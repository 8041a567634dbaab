"""Operations on runs and sweeps: read their states, create a run, upload its files; one part of `QueueServer`.

Owns which operation each method sends.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from launchd.client.base import ClientBase
from launchd.client.models.runs import RunDetail, RunSource
from launchd.client.operations import runs
from launchd.client.responses import RunFields
from launchd.client.run_values import decode_config, decode_values

#: States of a sweep whose runs may start.
ACTIVE_SWEEP_STATES = frozenset({"RUNNING", "PAUSED"})

SWEEP_CANCELED = "CANCELED"


class RunOperations(ClientBase):
    """Operations on runs and sweeps."""

    def open_run(self, entity: str, project: str, run_id: str, job_type: str) -> None:
        """Create a run, or set an existing one to running."""
        self._call(runs.OPEN_RUN, entity=entity, project=project, name=run_id, jobType=job_type)

    def upload_run_file(self, entity: str, project: str, run_id: str, name: str, content: bytes) -> None:
        """Store `content` as the file `name` of a run, a relative path."""
        created = self._call(runs.CREATE_RUN_FILES, entity=entity, project=project, run=run_id, files=[name])
        for file in created.files:
            self.transport.upload(file.upload_url, created.headers(), content)
        self.post_file_stream(entity, project, run_id, {"uploaded": [name]})

    def post_file_stream(self, entity: str, project: str, run_id: str, values: Mapping[str, Any]) -> None:
        """POST to a run's file stream: `uploaded`, `complete` with `exitcode`, or nothing, which is a heartbeat."""
        path = "/".join(quote(part, safe="") for part in (entity, project, run_id))
        self.transport.post(f"files/{path}/file_stream", values)

    def run(self, entity: str, project: str, run_id: str) -> RunDetail | None:
        """Return a run, or None for an unknown one."""
        found = self._call(runs.RUN, entity=entity, project=project, name=run_id)
        return _detail(found.run) if found and found.run else None

    def run_source(self, entity: str, project: str, run_id: str) -> RunSource | None:
        """Return repository, commit and command of a run; None for an unknown run and for one without a repository."""
        found = self._call(runs.RUN_INFO, entity=entity, project=project, name=run_id)
        info = found.run.run_info if found and found.run else None
        if info is None or info.git is None or not info.git.remote or not info.program:
            return None
        return RunSource(info.git.remote, info.git.commit, ("python", info.program, *(info.args or ())))

    def run_stopped(self, entity: str, project: str, run_id: str) -> bool:
        """Return whether a stop of the run was requested; false for an unknown run."""
        found = self._call(runs.RUN_STOPPED, entity=entity, project=project, name=run_id)
        return bool(found and found.run and found.run.stopped)

    def run_state(self, entity: str, project: str, run_id: str) -> str | None:
        """Return the server's state of a run (`pending` until it called init), or None for an unknown run."""
        found = self._call(runs.RUN_STATE, entity=entity, project=project, name=run_id)
        return found.run.state if found and found.run else None

    def sweep_state(self, entity: str, project: str, sweep: str) -> str | None:
        """Return the state of a sweep, or None for an unknown one."""
        found = self._call(runs.SWEEP_STATE, entity=entity, project=project, sweep=sweep)
        return found.sweep.state if found and found.sweep else None

    def cancel_sweep(self, entity: str, project: str, sweep: str) -> None:
        """Set the state of a sweep to CANCELED; an unknown sweep is ignored."""
        found = self._call(runs.SWEEP_STATE, entity=entity, project=project, sweep=sweep)
        if found and found.sweep:
            self._call(runs.SET_SWEEP_STATE, id=found.sweep.id, state=SWEEP_CANCELED, entity=entity, project=project)


def _detail(run: RunFields) -> RunDetail:
    return RunDetail(
        run.name,
        run.display_name or run.name,
        run.state or "pending",
        bool(run.stopped),
        decode_config(run.config),
        decode_values(run.summary_metrics),
    )
