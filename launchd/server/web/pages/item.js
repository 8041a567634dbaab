// One item: what it runs, where it is and why, its output, stopping it and launching it again.

import { html, useRef, useState } from "../vendor/htm-preact-3.1.1.js";
import { graphql } from "../api.js";
import { age, localTime, secondsBetween } from "../format.js";
import { useAction, useLive } from "../live.js";
import { Output } from "../output.js";
import { addressOf, Ago, Commands, Facts, Loading, Pushed, quoted, Said, State, Sure, useTitle } from "../parts.js";
import { newPushKey, push } from "../pushing.js";
import { again, commandOf, masked, titleOf } from "../run_spec.js";

const ITEM = `query Item($id: ID!, $entity: String!) {
  entity(name: $entity) { readOnly }
  launchRunQueueItem(id: $id) {
    id state status phase stage exitCode author priority runSpec queueName entityName gpus associatedRunId
    createdAt leasedAt startedAt finishedAt stopRequested stopReason
    agent { hostname name secondsSinceHeartbeat }
    why { code sentence } warnings { stage message createdAt }
  }
}`;
const STOP = `mutation Stop($input: StopRunQueueItemInput!) { stopRunQueueItem(input: $input) { success message } }`;
const ENDED = ["FINISHED", "FAILED", "STOPPED", "PREEMPTED"];

/** The page. */
export function Item({ entity, id }) {
  const live = useLive(id, () => load(entity, id));
  const item = live.data?.item;
  useTitle(item && titleOf(item.runSpec));
  if (live.data && !live.data.item) {
    return html`<main><p class="error">There is no item ${id} that you may see.</p></main>`;
  }
  return html`
    <main>
      <h1>${item ? titleOf(item.runSpec) : "Item"} ${item && html`<${State} state=${stateOf(item)} />`}</h1>
      <${Loading} live=${live} />
      ${item && html`
        <${Why} item=${item} />
        ${live.data.mayChange && (hasEnded(item) ? html`<${Again} item=${item} />` : html`<${Stop} item=${item} reload=${live.reload} />`)}
        <${Facts} facts=${factsOf(entity, item)} />
        <${Output} item=${item.id} />
        <details><summary>Run spec, with the arguments of its queue; secrets masked</summary>
          <pre>${JSON.stringify(masked(item.runSpec), null, 2)}</pre></details>
        <${Commands} commands=${["show", "logs -f", "why", "stop", "retry"].map((word) => `launchd ${word} ${quoted(item.id)}`)} />`}
    </main>`;
}

async function load(entity, id) {
  const { launchRunQueueItem: item, entity: owner } = await graphql(ITEM, { id, entity });
  return { item, mayChange: owner?.readOnly === false };
}

function hasEnded(item) {
  return ENDED.includes(item.state);
}

function stateOf(item) {
  return hasEnded(item) || item.state === "PENDING" ? item.state : item.status;
}

function Why({ item }) {
  return html`
    <ul class="why" aria-label="Why">
      ${item.why.map((reason) => html`<li>${reason.sentence}</li>`)}
      ${item.stopRequested && !hasEnded(item) && html`<li>A stop is asked for${item.stopReason ? `: ${item.stopReason}` : "."}</li>`}
      ${item.warnings.map((warning) => html`<li class="warning">${warning.stage}: ${warning.message}</li>`)}
    </ul>`;
}

function Stop({ item, reload }) {
  const [act, said, isBusy] = useAction();
  const stop = () => act(async () => {
    const { stopRunQueueItem: answer } = await graphql(STOP, { input: { runQueueItemId: item.id, reason: "asked for on the web page" } });
    reload();
    return answer.message;
  });
  return html`
    <p><${Sure} word="Stop" question="Stop it?" yes="Stop it" no="Leave it" isBusy=${isBusy} act=${stop} /></p>
    <${Said} said=${said} />`;
}

/** Pushes what an item ran once more, in the name of who asks for it. */
function Again({ item }) {
  const [launched, setLaunched] = useState(null);
  const [act, said, isBusy] = useAction();
  const pushKey = useRef(newPushKey());
  const launch = () => act(async () => {
    setLaunched(await push(item.entityName, item.queueName, again(item.runSpec), pushKey.current, { priority: item.priority }));
    pushKey.current = newPushKey();
  });
  return html`
    <p><button class="plain" disabled=${isBusy} onClick=${launch}>Launch again</button></p>
    <${Said} said=${said} />
    <${Pushed} entity=${item.entityName} item=${launched} />`;
}

function factsOf(entity, item) {
  const agent = item.agent;
  const spec = item.runSpec ?? {};
  const [owner, project] = [spec.entity || item.entityName, spec.project];
  return {
    runs: html`<span class="command">${commandOf(spec)}</span>`,
    project: project && html`<a href=${addressOf.project(owner, project)}>${owner}/${project}</a>`,
    run: item.associatedRunId && project && html`<a href=${addressOf.run(owner, project, item.associatedRunId)}>${item.associatedRunId}</a>`,
    author: item.author,
    queue: `${item.queueName} of ${item.entityName}`,
    resource: spec.resource,
    GPUs: item.gpus,
    host: agent && `${agent.hostname} (agent ${agent.name}, heard ${age(agent.secondsSinceHeartbeat)} ago)`,
    phase: hasEnded(item) ? null : item.phase,
    pushed: html`${localTime(item.createdAt)} (<${Ago} at=${item.createdAt} />)`,
    leased: item.leasedAt && `${localTime(item.leasedAt)} (after a wait of ${age(secondsBetween(item.createdAt, item.leasedAt))})`,
    started: item.startedAt && localTime(item.startedAt),
    ended: item.finishedAt && `${localTime(item.finishedAt)}${item.startedAt ? ` (ran for ${age(secondsBetween(item.startedAt, item.finishedAt))})` : ""}`,
    "exit code": item.exitCode,
    stage: item.stage,
    item: item.id,
  };
}
