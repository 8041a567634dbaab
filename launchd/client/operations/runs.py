"""Runs with their files, and sweeps."""

from typing import Any

from launchd.client.operations.operation import IN_PROJECT, PROJECT, Root, mutation, query
from launchd.client.responses import CreatedRunFiles, ProjectFields, ProjectRun, ProjectRunInfo

RUN_STATE: Root[ProjectFields | None] = query(
    "RunState", f"{PROJECT}, $name: String!", f"{IN_PROJECT} {{ run(name: $name) {{ state }} }}", ProjectFields | None
)

RUN: Root[ProjectRun | None] = query(
    "Run",
    f"{PROJECT}, $name: String!",
    f"{IN_PROJECT} {{ run(name: $name) {{ name displayName state stopped config summaryMetrics }} }}",
    ProjectRun | None,
)

RUN_INFO: Root[ProjectRunInfo | None] = query(
    "RunInfo",
    f"{PROJECT}, $name: String!",
    f"{IN_PROJECT} {{ run(name: $name) {{ runInfo {{ program args git {{ remote commit }} }} }} }}",
    ProjectRunInfo | None,
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
    f"{IN_PROJECT} {{ sweep(sweepName: $sweep) {{ id state }} }}",
    ProjectFields | None,
)

SET_SWEEP_STATE: Root[Any] = mutation(
    "UpsertSweep",
    "$id: ID, $state: String, $entity: String, $project: String",
    "upsertSweep(input: { id: $id state: $state entityName: $entity projectName: $project }) { sweep { name } }",
    Any,
)

OPEN_RUN: Root[Any] = mutation(
    "UpsertBucket",
    "$name: String, $project: String, $entity: String, $jobType: String",
    "upsertBucket(input: { name: $name modelName: $project entityName: $entity jobType: $jobType })"
    " { bucket { id name } }",
    Any,
)

CREATE_RUN_FILES: Root[CreatedRunFiles] = mutation(
    "CreateRunFiles",
    f"{PROJECT}, $run: String!, $files: [String!]!",
    "createRunFiles(input: { entityName: $entity projectName: $project runName: $run files: $files })"
    " { runID uploadHeaders files { name uploadUrl } }",
    CreatedRunFiles,
)
