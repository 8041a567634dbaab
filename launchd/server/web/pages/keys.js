// The user's own API keys, at the address where W&B's clients send those who have none.

import { html, useState } from "../vendor/htm-preact-3.1.1.js";
import { graphql } from "../api.js";
import { useAction, useLive } from "../live.js";
import { Ago, Commands, Loading, Said, Sure, Table, useTitle } from "../parts.js";

const KEYS = `query KeysOfViewer {
  viewer { name apiKeys { edges { node { id description role createdAt lastUsedAt } } } }
}`;
const MAKE = `mutation MakeKey($input: GenerateApiKeyInput!) { generateApiKey(input: $input) { key } }`;
const REVOKE = `mutation RevokeKey($input: DeleteApiKeyInput!) { deleteApiKey(input: $input) { success } }`;
const ROLES = {
  MEMBER: "launch, log and change",
  VIEWER: "read",
  AGENT: "serve queues",
  ADMIN: "also manage",
};

/** The page. */
export function Keys() {
  const live = useLive("keys", () => graphql(KEYS));
  useTitle("API keys");
  const viewer = live.data?.viewer;
  return html`
    <main>
      <h1>API keys ${viewer ? `of ${viewer.name}` : ""}</h1>
      <${Loading} live=${live} />
      ${viewer && html`
        <${NewKey} onMade=${live.reload} />
        <${Table} columns=${["Key", "May", "Made", "Used last", ""]} empty="There is none."
          rows=${(viewer.apiKeys?.edges ?? []).map(({ node }) => row(node, live.reload))} />
        <${Commands} commands=${["launchd key list", "launchd key create", `launchd login --host ${location.origin}`]} />`}
    </main>`;
}

function NewKey({ onMade }) {
  const [description, setDescription] = useState("");
  const [role, setRole] = useState("MEMBER");
  const [made, setMade] = useState(null);
  const [act, said, isBusy] = useAction();
  const make = (event) => {
    event.preventDefault();
    act(async () => {
      setMade((await graphql(MAKE, { input: { description: description.trim(), role } }, { mayRepeat: false })).generateApiKey.key);
      setDescription("");
      onMade();
    });
  };
  return html`
    <details class="launch">
      <summary>Make a key</summary>
      <form onSubmit=${make}>
        <div class="row">
          <label>What it is for<input required placeholder="my laptop" value=${description} onInput=${(event) => setDescription(event.target.value)} /></label>
          <label>It may<select value=${role} onChange=${(event) => setRole(event.target.value)}>
            ${Object.entries(ROLES).map(([name, words]) => html`<option value=${name}>${words}</option>`)}
          </select></label>
        </div>
        <button disabled=${isBusy}>Make a key</button>
        <${Said} said=${said} />
        ${made && html`<p class="done" role="status">It is shown this once: <code>${made}</code></p>`}
      </form>
    </details>`;
}

function row(key, reload) {
  const revoke = html`<${Revoke} id=${key.id} reload=${reload} />`;
  const used = html`<${Ago} at=${key.lastUsedAt} />`;
  return { key: key.id, cells: [key.description || "-", ROLES[key.role], html`<${Ago} at=${key.createdAt} />`, used, revoke] };
}

function Revoke({ id, reload }) {
  const [act, said, isBusy] = useAction();
  const revoke = () => act(async () => {
    await graphql(REVOKE, { input: { id } });
    reload();
  });
  return html`
    <${Sure} word="Revoke" yes="Revoke it" no="Keep it" isBusy=${isBusy} act=${revoke} />
    <${Said} said=${said} />`;
}
