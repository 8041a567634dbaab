// The queues and the agents of an entity.

import { html } from "../vendor/htm-preact-3.1.1.js";
import { graphql } from "../api.js";
import { age } from "../format.js";
import { useLive } from "../live.js";
import { addressOf, Ago, Commands, Loading, quoted, Table, useTitle } from "../parts.js";
import { QUEUE_PROJECT } from "../pushing.js";
import { titleOf } from "../run_spec.js";

const QUEUES = `query Queues($entity: String!, $project: String!) {
  project(name: $project, entityName: $entity) {
    runQueues { id name resourceType pendingCount claimedCount pausedAt pausedBy }
  }
  launchAgents(entityName: $entity) {
    id name hostname agentStatus stopPolling stopPollingBy version secondsSinceHeartbeat queueNames gpus { free total }
    heldItems(first: 20) { id runSpec status }
  }
  models(entityName: $entity, first: 100) { edges { node { name } } }
}`;

// An agent that was not heard for so long, or that has left, is shown for a day.
const SHOWN_SECONDS = 86_400;
const SILENT_SECONDS = 60;

/** The page. */
export function Queues({ entity }) {
  const live = useLive(entity, () => graphql(QUEUES, { entity, project: QUEUE_PROJECT }));
  useTitle(entity);
  return html`
    <main>
      <h1>${entity}</h1>
      <${Loading} live=${live} />
      ${live.data && html`
        <section>
          <h2>Queues</h2>
          <${Table} columns=${["Queue", "Resource", "Waiting", "At agents", ""]} rows=${(live.data.project?.runQueues ?? []).map((queue) => queueRow(entity, queue))}
            empty=${html`There is no queue yet: <code>launchd queue create NAME</code> makes one.`} />
        </section>
        <section>
          <h2>Agents</h2>
          <${Table} columns=${["Host", "State", "GPUs", "Queues", "Jobs", "Heard", "Version"]} rows=${shownAgents(live.data.launchAgents).map((agent) => agentRow(entity, agent))}
            empty=${html`No agent has served these queues in the last day.`} />
        </section>
        <section>
          <h2>Projects</h2>
          <${Projects} entity=${entity} projects=${live.data.models?.edges ?? []} />
        </section>
        <${Commands} commands=${[`launchd queue list --entity ${quoted(entity)}`, `launchd agents --entity ${quoted(entity)}`]} />`}
    </main>`;
}

function queueRow(entity, queue) {
  const pause = queue.pausedAt && html`<span class="state stopped">paused by ${queue.pausedBy}</span> <${Ago} at=${queue.pausedAt} />`;
  const link = html`<a href=${addressOf.queue(entity, queue.id)}>${queue.name}</a>`;
  return { key: queue.id, cells: [link, queue.resourceType ?? "-", queue.pendingCount, queue.claimedCount, pause] };
}

function shownAgents(agents) {
  return agents.filter((agent) => agent.secondsSinceHeartbeat < SHOWN_SECONDS || agent.heldItems.length);
}

function agentRow(entity, agent) {
  const gpus = agent.gpus?.total ? `${agent.gpus.free} of ${agent.gpus.total} free` : agent.gpus ? "none" : "-";
  const jobs = agent.heldItems.map((item) => html`
    <a href=${addressOf.item(entity, item.id)}>${titleOf(item.runSpec)}</a> <span class="quiet">${item.status}</span><br />`);
  const heard = `${age(agent.secondsSinceHeartbeat)} ago`;
  const cells = [agent.hostname ?? "-", agentState(agent), gpus, agent.queueNames.join(", "), jobs.length ? jobs : "-", heard, agent.version ?? "-"];
  return { key: agent.id, cells };
}

function agentState(agent) {
  if (agent.agentStatus === "KILLED") {
    return html`<span class="state">left</span>`;
  }
  if (agent.secondsSinceHeartbeat > SILENT_SECONDS) {
    return html`<span class="state failed">silent</span>`;
  }
  if (agent.stopPolling) {
    return html`<span class="state stopped">leaves${agent.stopPollingBy ? `, asked by ${agent.stopPollingBy}` : ""}</span>`;
  }
  return html`<span class="state running">${agent.agentStatus.toLowerCase()}</span>`;
}

function Projects({ entity, projects }) {
  const names = projects.map((edge) => edge.node.name).filter((name) => name !== QUEUE_PROJECT);
  return names.length
    ? html`<p>${names.map((name) => html`<a class="tag" href=${addressOf.project(entity, name)}>${name}</a> `)}</p>`
    : html`<p class="quiet">There is no project with runs yet.</p>`;
}
