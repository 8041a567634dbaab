// Requests to the queue server: the same GraphQL and the same outputs as the command line's.

import { currentKey } from "./session.js";

/** The event of a window whose user's key the server does not know any more. */
export const KEY_REFUSED = "launchd-key-refused";

const UNREACHABLE = "The queue server does not answer.";

/** A request that failed: a sentence for people, and the status of HTTP; 0 where there was no answer. */
export class RequestFailed extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Return the data of a GraphQL document; `key` is for who signs in just now. */
export async function graphql(document, variables = {}, key = currentKey()) {
  const body = JSON.stringify({ query: document, variables });
  const answer = await send("/graphql", key, { method: "POST", body, headers: { "Content-Type": "application/json" } });
  return (await json(answer)).data;
}

/**
 * Return what follows in the output of an item's job: `about` as the server describes it, `content` as bytes.
 * The server waits up to `wait` seconds for more.
 */
export async function readOutput(item, attempt, after, wait, signal) {
  const query = new URLSearchParams({ attempt, after, wait });
  const answer = await send(`/launchd/outputs/${encodeURIComponent(item)}?${query}`, currentKey(), { signal });
  return { about: JSON.parse(answer.headers.get("Launchd-Output")), content: new Uint8Array(await answer.arrayBuffer()) };
}

async function send(path, key, options) {
  // Without "omit" a browser asks for a name and a password of its own where a key is wrong.
  const headers = { ...options.headers, Authorization: `Basic ${btoa(`api:${key}`)}` };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, credentials: "omit", cache: "no-store" });
  } catch (error) {
    throw error.name === "AbortError" ? error : new RequestFailed(UNREACHABLE, 0);
  }
  if (answer.status === 401 && key === currentKey()) {
    dispatchEvent(new Event(KEY_REFUSED));
  }
  if (!answer.ok) {
    throw new RequestFailed(await sentences(answer), answer.status);
  }
  return answer;
}

async function json(answer) {
  const body = await answer.json();
  if (body.errors?.length) {
    throw new RequestFailed(body.errors.map((error) => error.message).join(" "), answer.status);
  }
  return body;
}

async function sentences(answer) {
  try {
    return (await answer.json()).errors.map((error) => error.message).join(" ");
  } catch {
    return `The queue server answered ${answer.status} ${answer.statusText}.`;
  }
}
