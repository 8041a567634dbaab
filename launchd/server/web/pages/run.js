// One run: its state, its curves, its summary and its configuration.

import { html } from "../vendor/htm-preact-3.1.1.js";
import { graphql } from "../api.js";
import { Curve } from "../curve.js";
import { inOneLine, localTime, parsed, short } from "../format.js";
import { useLive } from "../live.js";
import { addressOf, Ago, Commands, Facts, Loading, quoted, State, useTitle } from "../parts.js";
import { masked } from "../run_spec.js";

const MOST_CURVES = 12;
const SAMPLES = 300;
const RUN = `query Run($entity: String!, $project: String!, $run: String!) {
  project(name: $project, entityName: $entity) {
    run(name: $run) {
      name displayName state host createdAt heartbeatAt exitcode tags group sweepName notes commit config
      summaryMetrics historyKeys user { username } runInfo { program args python gpu gpuCount }
      alerts(first: 10) { title text severity createdAt }
    }
  }
  findRunQueueItems(word: $run) { id associatedRunId entityName }
}`;
const HISTORY = `query HistoryOfRun($entity: String!, $project: String!, $run: String!, $specs: [JSONString!]!) {
  project(name: $project, entityName: $entity) { run(name: $run) { sampledHistory(specs: $specs) } }
}`;

/** The page. */
export function Run({ entity, project, run: name }) {
  const live = useLive(`${entity}/${project}/${name}`, () => load(entity, project, name));
  const run = live.data?.run;
  useTitle(run && (run.displayName || run.name));
  if (live.data && !live.data.run) {
    return html`<main><p class="error">There is no run ${name} of project ${project} of ${entity} that you may see.</p></main>`;
  }
  return html`
    <main>
      <h1>${run ? run.displayName || run.name : "Run"} ${run && html`<${State} state=${run.state} />`}</h1>
      <${Loading} live=${live} />
      ${run && html`
        ${run.alerts.map((alert) => html`<p class=${alert.severity === "ERROR" ? "error" : "warning"}><b>${alert.title}</b> ${alert.text} <${Ago} at=${alert.createdAt} /></p>`)}
        <${Facts} facts=${factsOf(entity, project, run, live.data.item)} />
        ${live.data.curves.length > 0 && html`<section><h2>Metrics</h2><div class="curves">${live.data.curves.map((curve) => html`
          <${Curve} key=${curve.name} name=${curve.name} points=${curve.points} />`)}</div></section>`}
        <${Values} title="Summary" values=${parsed(run.summaryMetrics || "{}")} />
        <${Values} title="Configuration" values=${configOf(run)} />
        <${Commands} commands=${commands(entity, project, run, live.data.item)} />`}
    </main>`;
}

async function load(entity, project, name) {
  const about = await graphql(RUN, { entity, project, run: name });
  const run = about.project?.run ?? null;
  const item = about.findRunQueueItems.find((each) => each.associatedRunId === name) ?? null;
  const names = numbersLogged(run);
  if (!names.length) {
    return { run, item, curves: [] };
  }
  const specs = names.map((key) => JSON.stringify({ keys: ["_step", key], samples: SAMPLES }));
  const history = (await graphql(HISTORY, { entity, project, run: name, specs })).project?.run?.sampledHistory ?? [];
  return { run, item, curves: names.map((key, place) => ({ name: key, points: pointsOf(history[place], key) })).filter(({ points }) => points.length > 1) };
}

function numbersLogged(run) {
  const keys = Object.entries(run?.historyKeys?.keys ?? {});
  const isNumber = ([name, about]) => !name.startsWith("_") && about.typeCounts?.some(({ type }) => type === "number");
  return keys.filter(isNumber).map(([name]) => name).sort().slice(0, MOST_CURVES);
}

function pointsOf(lines, key) {
  return (lines ?? []).map((line) => [line._step, line[key]]).filter(([step, value]) => Number.isFinite(step) && Number.isFinite(value));
}

function configOf(run) {
  const entries = Object.entries(parsed(run.config || "{}")).filter(([name]) => name !== "_wandb");
  return masked(Object.fromEntries(entries.map(([name, value]) => [name, value?.value ?? value])));
}

function Values({ title, values }) {
  const known = Object.entries(values).filter(([name]) => !name.startsWith("_"));
  return known.length ? html`
    <section>
      <h2>${title}</h2>
      <${Facts} facts=${Object.fromEntries(known.map(([name, value]) => [name, typeof value === "number" ? short(value) : inOneLine(value)]))} />
    </section>` : null;
}

function factsOf(entity, project, run, item) {
  return {
    project: html`<a href=${addressOf.project(entity, project)}>${entity}/${project}</a>`,
    item: item && html`<a href=${addressOf.item(item.entityName, item.id)}>${item.id}</a>, with its output`,
    run: run.name,
    author: run.user?.username,
    host: run.host,
    program: run.runInfo?.program && [run.runInfo.program, ...(run.runInfo.args ?? [])].join(" "),
    python: run.runInfo?.python,
    GPUs: run.runInfo?.gpu && `${run.runInfo.gpuCount} ${run.runInfo.gpu}`,
    commit: run.commit,
    sweep: run.sweepName,
    group: run.group,
    tags: run.tags?.join(", "),
    begun: localTime(run.createdAt),
    heard: run.heartbeatAt && html`<${Ago} at=${run.heartbeatAt} />`,
    "exit code": run.exitcode,
    notes: run.notes,
  };
}

function commands(entity, project, run, item) {
  const path = quoted(`${entity}/${project}/${run.name}`);
  return [`launchd run show ${path}`, ...(item ? ["show", "logs", "stop"].map((word) => `launchd ${word} ${quoted(item.id)}`) : [])];
}
