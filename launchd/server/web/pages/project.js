// The runs of a project.

import { html } from "../vendor/htm-preact-3.1.1.js";
import { graphql } from "../api.js";
import { inOneLine, isNumber, parsed, short } from "../format.js";
import { useLive } from "../live.js";
import { addressOf, Ago, Commands, Loading, quoted, State, Table, useTitle } from "../parts.js";

const RUNS = 100;
const MOST_COLUMNS = 6;
const PROJECT = `query RunsOfProject($entity: String!, $project: String!, $filters: JSONString, $first: Int) {
  project(name: $project, entityName: $entity) {
    runs(first: $first, filters: $filters) { edges { node {
      name displayName state createdAt host tags user { username } summaryMetrics
    } } }
  }
}`;

/** The page: all runs of a project, or those of one of its sweeps. */
export function Project({ entity, project, sweep = null }) {
  const filters = sweep ? JSON.stringify({ sweep }) : null;
  const live = useLive(`${entity}/${project}/${sweep}`, () => graphql(PROJECT, { entity, project, filters, first: RUNS }));
  useTitle(sweep ?? project);
  if (live.data && !live.data.project) {
    return html`<main><p class="error">There is no project ${project} of ${entity} that you may see.</p></main>`;
  }
  const runs = (live.data?.project.runs.edges ?? []).map(({ node }) => ({ ...node, summary: parsed(node.summaryMetrics || "{}") }));
  const metrics = metricsOf(runs);
  const what = `${entity}/${project}`;
  return html`
    <main>
      <h1>${sweep ? html`Sweep ${sweep} of <a href=${addressOf.project(entity, project)}>${what}</a>` : `Project ${what}`}</h1>
      <${Loading} live=${live} />
      ${live.data && html`
        <${Table} columns=${["Run", "State", "Author", "Host", "Begun", ...metrics]} rows=${runs.map((run) => row(entity, project, run, metrics))}
          empty=${sweep ? "The sweep has no run yet." : "The project has no run yet."} />
        ${!sweep && html`<p><a href=${addressOf.jobs(entity, project)}>Jobs of this project</a></p>`}
        ${runs.length === RUNS && html`<p class="quiet">The ${RUNS} newest.</p>`}
        <${Commands} commands=${commands(entity, project, sweep)} />`}
    </main>`;
}

function row(entity, project, run, metrics) {
  const link = html`<a href=${addressOf.run(entity, project, run.name)}>${run.displayName || run.name}</a>`;
  const values = metrics.map((name) => (typeof run.summary[name] === "number" ? short(run.summary[name]) : inOneLine(run.summary[name] ?? "-")));
  return { key: run.name, cells: [link, html`<${State} state=${run.state} />`, run.user?.username ?? "-", run.host ?? "-", html`<${Ago} at=${run.createdAt} />`, ...values] };
}

/** The numbers that most of the runs have logged. */
function metricsOf(runs) {
  const seen = new Map();
  for (const run of runs) {
    for (const [name, value] of Object.entries(run.summary)) {
      if (!name.startsWith("_") && isNumber(value)) {
        seen.set(name, (seen.get(name) ?? 0) + 1);
      }
    }
  }
  return [...seen].sort((one, other) => other[1] - one[1]).slice(0, MOST_COLUMNS).map(([name]) => name);
}

function commands(entity, project, sweep) {
  const ofProject = `launchd runs --entity ${quoted(entity)} --project ${quoted(project)}`;
  return sweep ? [`wandb sweep --stop ${quoted(`${entity}/${project}/${sweep}`)}`] : [ofProject];
}
