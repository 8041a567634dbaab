// Pushing items into queues.

import { graphql } from "./api.js";

/** The project that holds an entity's queues, by W&B's convention. */
export const QUEUE_PROJECT = "model-registry";

/** W&B's names of priorities, by their numbers. */
export const PRIORITIES = ["critical", "high", "medium", "low"];

const PUSH = `mutation Push($input: PushToRunQueueByNameInput!) { pushToRunQueueByName(input: $input) { runQueueItemId } }`;

/** Push a run spec; `more` are further values of the input. Returns the item's id. */
export async function push(entity, queue, spec, idempotencyKey, more = {}) {
  const names = { entityName: entity, projectName: QUEUE_PROJECT, queueName: queue };
  const input = { ...names, runSpec: JSON.stringify(spec), idempotencyKey, ...more };
  return (await graphql(PUSH, { input })).pushToRunQueueByName.runQueueItemId;
}

/** A key for one push: where it is sent again, as its answer was lost, it is not a second one. */
export function newPushKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
