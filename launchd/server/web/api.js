// Requests to the queue server: the same GraphQL and the same outputs as the command line's.

import { currentKey } from "./session.js";

/** The event of a window whose user's key the server does not know any more. */
export const KEY_REFUSED = "launchd-key-refused";

const AGAIN_MILLISECONDS = 500;
const UNREACHABLE = "The queue server does not answer.";

/** A request that failed: a sentence for people, and the status of HTTP; 0 where there was no answer. */
export class RequestFailed extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * Return the data of a GraphQL document; `key` is for who signs in just now.
 *
 * A request without an answer is sent once more, but for one that must not be repeated.
 */
export async function graphql(document, variables = {}, { key = currentKey(), mayRepeat = true } = {}) {
  const body = JSON.stringify({ query: document, variables });
  const options = { method: "POST", body, headers: { "Content-Type": "application/json" } };
  const { answer, content } = await send("/graphql", key, options, mayRepeat);
  const { data, errors } = JSON.parse(decoded(content));
  if (errors?.length) {
    throw new RequestFailed(sentencesOf(errors), answer.status);
  }
  return data;
}

/**
 * Return what follows in the output of an item's job: `about` as the server describes it, `content` as bytes.
 * The server waits up to `wait` seconds for more.
 */
export async function readOutput(item, attempt, after, wait, signal) {
  const query = new URLSearchParams({ attempt, after, wait });
  const path = `/launchd/outputs/${encodeURIComponent(item)}?${query}`;
  const { answer, content } = await send(path, currentKey(), { signal }, true);
  return { about: JSON.parse(answer.headers.get("Launchd-Output")), content };
}

async function send(path, key, options, mayRepeat) {
  // Without "omit" a browser asks for a name and a password of its own where a key is wrong.
  const headers = { ...options.headers, Authorization: `Basic ${btoa(`api:${key}`)}` };
  const received = await receive(path, { ...options, headers, credentials: "omit", cache: "no-store" }, mayRepeat);
  const { answer, content } = received;
  if (answer.status === 401 && key === currentKey()) {
    dispatchEvent(new Event(KEY_REFUSED));
  }
  if (!answer.ok) {
    throw new RequestFailed(refusalIn(answer, content), answer.status);
  }
  return received;
}

async function receive(path, options, mayRepeat) {
  try {
    const answer = await fetch(path, options);
    return { answer, content: new Uint8Array(await answer.arrayBuffer()) };
  } catch (error) {
    if (error.name === "AbortError") {
      throw error;
    }
    if (!mayRepeat) {
      throw new RequestFailed(UNREACHABLE, 0);
    }
  }
  // A laptop that changes its network loses all that is under way.
  await new Promise((done) => setTimeout(done, AGAIN_MILLISECONDS));
  return receive(path, options, false);
}

function refusalIn(answer, content) {
  try {
    return sentencesOf(JSON.parse(decoded(content)).errors);
  } catch {
    return `The queue server answered ${answer.status} ${answer.statusText}.`;
  }
}

function sentencesOf(errors) {
  return errors.map((error) => error.message).join(" ");
}

function decoded(content) {
  return new TextDecoder().decode(content);
}
