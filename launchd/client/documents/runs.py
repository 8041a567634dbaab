"""Runs and sweeps."""

from launchd.client.answers import ProjectFields, ProjectRun
from launchd.client.documents.operation import IN_PROJECT, PROJECT, Root, query

RUN_STATE: Root[ProjectFields | None] = query(
    "RunState", f"{PROJECT}, $name: String!", f"{IN_PROJECT} {{ run(name: $name) {{ state }} }}", ProjectFields | None
)

RUN: Root[ProjectRun | None] = query(
    "Run",
    f"{PROJECT}, $name: String!",
    f"{IN_PROJECT} {{ run(name: $name) {{ name displayName state stopped config summaryMetrics }} }}",
    ProjectRun | None,
)

RUN_STOPPED: Root[ProjectFields | None] = query(
    "RunStoppedStatus",
    f"{PROJECT}, $name: String!",
    f"{IN_PROJECT} {{ run(name: $name) {{ stopped }} }}",
    ProjectFields | None,
)

SWEEP_STATE: Root[ProjectFields | None] = query(
    "GetSweepState",
    f"{PROJECT}, $sweep: String!",
    f"{IN_PROJECT} {{ sweep(sweepName: $sweep) {{ state }} }}",
    ProjectFields | None,
)
