"""Records of sweeps and their agents."""

from launchd.server.models.base import Record


class Sweep(Record, frozen=True, kw_only=True):
    """A sweep. `config` is YAML, `controller` and `scheduler` are JSON."""

    id: int
    project_id: int
    project_name: str
    entity_name: str
    name: str
    display_name: str | None
    description: str | None
    state: str
    config: str
    method: str
    controller: str | None
    scheduler: str | None
    launched: bool
    created_at: float
    updated_at: float
    heartbeat_at: float | None
    grid_place: int


class SweepAgent(Record, frozen=True, kw_only=True):
    """A client that fetches runs of a sweep: a process of `wandb agent`, or a worker of a scheduler."""

    id: str
    sweep_id: int
    host: str
    created_at: float
    heartbeat_at: float
    offered_run: str | None
    offers: int
