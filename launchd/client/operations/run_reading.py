"""Runs, read for people."""

from launchd.client.operations.operation import IN_PROJECT, PROJECT, Root, query
from launchd.client.responses import Connection, Named, ProjectHistory, ProjectReadRun, ProjectRuns

_FIELDS = "name displayName state host createdAt heartbeatAt exitcode tags group jobType sweepName user { username }"

PROJECTS: Root[Connection[Named] | None] = query(
    "ProjectsOfEntity",
    "$entity: String, $first: Int",
    "models(entityName: $entity, first: $first) { edges { node { name } } }",
    Connection[Named] | None,
)

RUNS: Root[ProjectRuns | None] = query(
    "RunsOfProject",
    f"{PROJECT}, $filters: JSONString, $first: Int, $keys: [String!]",
    f"{IN_PROJECT} {{ runs(filters: $filters, first: $first) {{ edges {{ node {{"
    f" {_FIELDS} summaryMetrics(keys: $keys) }} }} }} }}",
    ProjectRuns | None,
)

WHOLE_RUN: Root[ProjectReadRun | None] = query(
    "WholeRun",
    f"{PROJECT}, $name: String!",
    f"{IN_PROJECT} {{ run(name: $name) {{ {_FIELDS} notes commit config summaryMetrics historyLineCount historyKeys"
    " fileCount runInfo { program args git { remote commit } } } }",
    ProjectReadRun | None,
)

SAMPLED_HISTORY: Root[ProjectHistory | None] = query(
    "SampledHistoryOfRun",
    f"{PROJECT}, $name: String!, $specs: [JSONString!]!",
    f"{IN_PROJECT} {{ run(name: $name) {{ sampledHistory(specs: $specs) }} }}",
    ProjectHistory | None,
)
