// The jobs of a project: what can be launched by name.

import { html } from "../vendor/htm-preact-3.1.1.js";
import { graphql } from "../api.js";
import { useLive } from "../live.js";
import { addressOf, Ago, Commands, Loading, quoted, Table, useTitle } from "../parts.js";

const JOBS = `query JobsOfProject($entity: String!, $project: String!) {
  project(name: $project, entityName: $entity) {
    artifactType(name: "job") {
      artifactCollections(first: 100) { edges { node { name createdAt latestArtifact { versionIndex createdAt } } } }
    }
  }
}`;

/** The page. */
export function Jobs({ entity, project }) {
  const live = useLive(`${entity}/${project}`, () => graphql(JOBS, { entity, project }));
  useTitle(`Jobs of ${project}`);
  const jobs = (live.data?.project?.artifactType?.artifactCollections?.edges ?? []).map((edge) => edge.node);
  return html`
    <main>
      <h1>Jobs of <a href=${addressOf.project(entity, project)}>${entity}/${project}</a></h1>
      <${Loading} live=${live} />
      ${live.data && html`
        <${Table} columns=${["Job", "Newest version", "Of"]} rows=${jobs.map((job) => row(entity, project, job))}
          empty=${html`The project has no job yet: <code>launchd job create</code> makes one, and so does each run of code that W&B's client logs.`} />
        <p class="quiet">The form of a <a href=${addressOf.queues(entity)}>queue</a> takes the name of a job.</p>
        <${Commands} commands=${[`launchd job list --entity ${quoted(entity)} --project ${quoted(project)}`]} />`}
    </main>`;
}

function row(entity, project, job) {
  const version = job.latestArtifact?.versionIndex;
  const known = version === null || version === undefined ? "-" : `v${version}`;
  const cells = [html`<code>${`${entity}/${project}/${job.name}:latest`}</code>`, known, html`<${Ago} at=${job.latestArtifact?.createdAt ?? job.createdAt} />`];
  return { key: job.name, cells };
}
