// Parts that several pages have.

import { html, useEffect, useState } from "./vendor/htm-preact-3.1.1.js";
import { age, localTime, secondsBetween } from "./format.js";

/** Addresses of pages. W&B's clients print those of projects, jobs and runs. */
export const addressOf = {
  queues: (entity) => `/${part(entity)}/launch`,
  queue: (entity, queue) => `/${part(entity)}/launch/${part(queue)}`,
  item: (entity, item) => `/${part(entity)}/launch/items/${part(item)}`,
  project: (entity, project) => `/${part(entity)}/${part(project)}`,
  jobs: (entity, project) => `/${part(entity)}/${part(project)}/jobs`,
  run: (entity, project, run) => `/${part(entity)}/${part(project)}/runs/${part(run)}`,
};

const part = encodeURIComponent;

/** Name the tab of the browser. */
export function useTitle(title) {
  useEffect(() => {
    document.title = title ? `${title} · launchd` : "launchd";
  }, [title]);
}

/** A state in a word and a colour. */
export const State = ({ state }) => html`<span class=${`state ${state.toLowerCase()}`}>${state.toLowerCase()}</span>`;

/** How long ago a moment was; the moment itself where one points at it. */
export const Ago = ({ at }) => (at ? html`<time datetime=${at} title=${localTime(at)}>${age(secondsBetween(at))} ago</time>` : "-");

/** A failure, or what an action has said. */
export function Said({ said }) {
  return said ? html`<p class=${said.isError ? "error" : "done"} role=${said.isError ? "alert" : "status"}>${said.sentence}</p>` : null;
}

/** A button that asks once more; `act` is done where the answer is yes. */
export function Sure({ word, question = "", yes, no, isBusy, act }) {
  const [isAsked, setAsked] = useState(false);
  const confirm = () => {
    setAsked(false);
    act();
  };
  return isAsked
    ? html`${question} <button onClick=${confirm}>${yes}</button> <button class="plain" onClick=${() => setAsked(false)}>${no}</button>`
    : html`<button class="plain" disabled=${isBusy} onClick=${() => setAsked(true)}>${word}</button>`;
}

/** A link to an item that was just pushed, if one was. */
export const Pushed = ({ entity, item }) => item && html`
  <p class="done" role="status">Pushed: <a href=${addressOf.item(entity, item)}>item ${item}</a>.</p>`;

/** What is shown while a page has nothing to show yet, and where it is out of date. */
export function Loading({ live }) {
  if (live.error) {
    const old = live.data ? " What is shown here is older." : "";
    return html`<p class="error" role="alert">${live.error.message}${old}</p>`;
  }
  return live.data ? null : html`<p class="quiet" role="status">Loading ...</p>`;
}

/** Names and values, without the values that there are not. */
export function Facts({ facts }) {
  const known = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return html`<dl>${known.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`;
}

/** A table: `columns` are names, `rows` lists of cells; `empty` is said where there is none. */
export function Table({ columns, rows, empty }) {
  if (!rows.length) {
    return html`<p class="quiet">${empty}</p>`;
  }
  return html`
    <div class="wide">
      <table>
        <thead><tr>${columns.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead>
        <tbody>${rows.map((row) => html`<tr key=${row.key}>${row.cells.map((cell) => html`<td>${cell}</td>`)}</tr>`)}</tbody>
      </table>
    </div>`;
}

/** Commands for a terminal that do or show the same. */
export const Commands = ({ commands }) => html`
  <details><summary>On a terminal</summary><pre>${commands.join("\n")}</pre></details>`;

/** A word as a shell takes it. */
export function quoted(word) {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\"'\"'")}'`;
}
