// One queue: its items, pausing it, and launching into it.

import { html, useState } from "../vendor/htm-preact-3.1.1.js";
import { graphql } from "../api.js";
import { age, secondsBetween } from "../format.js";
import { useAction, useLive } from "../live.js";
import { addressOf, Ago, Commands, Loading, quoted, Said, State, Table, useTitle } from "../parts.js";
import { PRIORITIES, QUEUE_PROJECT } from "../pushing.js";
import { commandOf, titleOf } from "../run_spec.js";
import { LaunchForm } from "./launch_form.js";

const ITEMS = 100;
const QUEUE = `query Queue($entity: String!, $project: String!) {
  project(name: $project, entityName: $entity) {
    runQueues {
      id name resourceType prioritizationMode defaultResourceConfigID pendingCount claimedCount pausedAt pausedBy
    }
  }
  entity(name: $entity) { readOnly }
}`;
const ITEMS_OF_QUEUE = `query ItemsOfQueue($entity: String!, $project: String!, $queue: String!, $first: Int) {
  project(name: $project, entityName: $entity) {
    runQueue(name: $queue) {
      runQueueItems(first: $first) { edges { node {
        id state status author priority runSpec createdAt startedAt finishedAt gpus fitsNoAgent stopRequested
      } } }
    }
  }
}`;
const PAUSE = `mutation Pause($input: SetRunQueuePausedInput!) { setRunQueuePaused(input: $input) { success } }`;
const FILTERS = { all: () => true, waiting: isWaiting, "at agents": isHeld, ended: (item) => !isWaiting(item) && !isHeld(item) };

/** The page. */
export function Queue({ entity, id }) {
  const live = useLive(`${entity}/${id}`, () => load(entity, id));
  const queue = live.data?.queue;
  useTitle(queue?.name);
  const [filter, setFilter] = useState("all");
  if (live.data && !queue) {
    return html`<main><p class="error">There is no queue ${id} of ${entity} that you may see.</p></main>`;
  }
  return html`
    <main>
      <h1>${queue ? `Queue ${queue.name}` : "Queue"}</h1>
      <${Loading} live=${live} />
      ${queue && html`
        <${About} queue=${queue} mayChange=${!live.data.readOnly} reload=${live.reload} />
        ${!live.data.readOnly && html`<${LaunchForm} key=${queue.id} entity=${entity} queue=${queue} onLaunched=${live.reload} />`}
        <section>
          <h2>Items</h2>
          <p class="filters" role="group" aria-label="Which items">${Object.keys(FILTERS).map((name) => html`
            <button class="plain" aria-pressed=${name === filter} onClick=${() => setFilter(name)}>${name}</button>`)}</p>
          <${Table} columns=${["Item", "State", "What it runs", "Author", "Priority", "GPUs", "Pushed", "Ran for"]}
            rows=${live.data.items.filter(FILTERS[filter]).map((item) => row(entity, item))} empty="None." />
          ${live.data.items.length === ITEMS && html`<p class="quiet">The ${ITEMS} newest.</p>`}
        </section>
        <${Commands} commands=${commands(entity, queue)} />`}
    </main>`;
}

async function load(entity, id) {
  const about = await graphql(QUEUE, { entity, project: QUEUE_PROJECT });
  const queues = about.project?.runQueues ?? [];
  const queue = queues.find((each) => each.id === id) ?? queues.find((each) => each.name === id);
  if (!queue) {
    return { queue: null };
  }
  const found = await graphql(ITEMS_OF_QUEUE, { entity, project: QUEUE_PROJECT, queue: queue.name, first: ITEMS });
  const items = (found.project?.runQueue?.runQueueItems.edges ?? []).map((edge) => edge.node);
  return { queue, items, readOnly: about.entity?.readOnly ?? false };
}

function About({ queue, mayChange, reload }) {
  const [act, said, isBusy] = useAction();
  const isPaused = Boolean(queue.pausedAt);
  const change = () => act(async () => {
    await graphql(PAUSE, { input: { queueId: queue.id, paused: !isPaused } });
    reload();
  });
  return html`
    <p>
      ${queue.resourceType ?? "any resource"} · ${queue.pendingCount} waiting · ${queue.claimedCount} at agents
      ${isPaused && html` · <span class="state stopped">paused by ${queue.pausedBy}</span> <${Ago} at=${queue.pausedAt} />`}
      ${mayChange && html` <button class="plain" disabled=${isBusy} onClick=${change}>${isPaused ? "Resume" : "Pause"}</button>`}
    </p>
    <${Said} said=${said} />`;
}

function isWaiting(item) {
  return item.state === "PENDING";
}

function isHeld(item) {
  return item.state === "LEASED" || item.state === "CLAIMED";
}

function row(entity, item) {
  const state = html`<${State} state=${isHeld(item) && item.status !== "queued" ? item.status : item.state} />
    ${item.fitsNoAgent && html` <span class="state failed">fits no agent</span>`}
    ${item.stopRequested && isHeld(item) && html` <span class="quiet">a stop is asked for</span>`}`;
  const what = html`<span class="command">${commandOf(item.runSpec)}</span>`;
  const ran = item.startedAt ? age(secondsBetween(item.startedAt, item.finishedAt)) : "-";
  const link = html`<a href=${addressOf.item(entity, item.id)}>${titleOf(item.runSpec)}</a>`;
  const cells = [link, state, what, item.author ?? "-", PRIORITIES[item.priority], item.gpus ?? "-", html`<${Ago} at=${item.createdAt} />`, ran];
  return { key: item.id, cells };
}

function commands(entity, queue) {
  return [
    `launchd queue show ${quoted(queue.name)} --entity ${quoted(entity)}`,
    `launchd launch --queue ${quoted(queue.name)} --entity ${quoted(entity)} -- python train.py`,
  ];
}
