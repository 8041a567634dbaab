"""Job records for tests."""

from ipc.run_spec import Overrides, RunSpec
from launchd.agent.job_record import JobRecord


def a_job(item_id: str = "item") -> JobRecord:
    """Return a job that was just claimed."""
    spec = RunSpec("entity", "project", f"run-{item_id}", "local-process", overrides=Overrides(entry_point=("true",)))
    return JobRecord(
        item_id=item_id,
        agent_id="agent",
        queue="default",
        name=f"launchd-{item_id}-1",
        attempt=1,
        spec=spec,
        raw_spec='{"entity": "entity", "project": "project", "sweep_id": "s"}',
        claimed_at=100.0,
        state_at=100.0,
    )
