// Launching into a queue: an image, a git repository, a job or a command.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact-3.1.1.js";
import { graphql } from "../api.js";
import { useAction } from "../live.js";
import { Pushed, Said } from "../parts.js";
import { newPushKey, PRIORITIES, push } from "../pushing.js";
import { specOf } from "../run_spec.js";

const VARIABLES = `query TemplateVariables($entity: String!, $id: ID!) {
  entity(name: $entity) { defaultResourceConfig(id: $id) { templateVariables { name schema } } }
}`;
const KINDS = {
  image: ["Container image", "registry.example.org/team/train:1"],
  git: ["Git repository", "https://git.example.org/team/train.git"],
  job: ["Job", "train:latest, or project/train:v3"],
  command: ["A command of the host", ""],
};
/** What shares the GPUs of its host. */
const WITH_GPUS = ["local-process", "local-container"];
const USUAL_PRIORITY = PRIORITIES.indexOf("medium");
const EMPTY = { source: "", version: "", command: "", args: "", gpus: "", project: "", name: "", config: "", priority: USUAL_PRIORITY };

/** The form, closed until it is opened. */
export function LaunchForm({ entity, queue, onLaunched }) {
  const [fields, setFields] = useState({ ...EMPTY, kind: queue.resourceType === "local-process" ? "command" : "image" });
  const [values, setValues] = useState({});
  const [launched, setLaunched] = useState(null);
  const [act, said, isBusy] = useAction();
  const pushKey = useRef(newPushKey());
  const variables = useTemplateVariables(entity, queue.defaultResourceConfigID);
  const set = (name) => (event) => {
    pushKey.current = newPushKey();
    setFields({ ...fields, [name]: event.target.value });
  };
  const setValue = (name, value) => {
    pushKey.current = newPushKey();
    setValues({ ...values, [name]: value });
  };
  const launch = (event) => {
    event.preventDefault();
    setLaunched(null);
    act(async () => {
      setLaunched(await pushFields(entity, queue, fields, chosen(variables, values), pushKey.current));
      pushKey.current = newPushKey();
      onLaunched();
    });
  };
  const text = (name, label, hint, more = {}) => html`
    <label>${label}<input value=${fields[name]} placeholder=${hint} onInput=${set(name)} ...${more} /></label>`;
  return html`
    <details class="launch">
      <summary>Launch into this queue</summary>
      <form onSubmit=${launch}>
        <div class="row">
          <label>What<select value=${fields.kind} onChange=${set("kind")}>
            ${Object.entries(KINDS).map(([kind, [label]]) => html`<option value=${kind}>${label}</option>`)}
          </select></label>
          ${fields.kind !== "command" && text("source", ...KINDS[fields.kind], { required: true })}
          ${fields.kind === "git" && text("version", "Branch, tag or commit", "the default branch")}
        </div>
        <div class="row">
          ${text("command", "Command", fields.kind === "command" ? "python train.py" : "as the image or the job has it", { required: fields.kind === "command" })}
          ${text("args", "Arguments", "--epochs 10")}
        </div>
        <div class="row">
          ${text("project", "Project", "uncategorized")}
          ${text("name", "Name", "optional")}
          ${WITH_GPUS.includes(queue.resourceType) && text("gpus", "GPUs", "none", { type: "number", min: 0 })}
          ${queue.prioritizationMode === "V0" && html`
            <label>Priority<select value=${fields.priority} onChange=${set("priority")}>
              ${PRIORITIES.map((name, number) => html`<option value=${number}>${name}</option>`)}
            </select></label>`}
        </div>
        ${variables.length > 0 && html`<div class="row">${variables.map((variable) => html`
          <${Variable} variable=${variable} value=${values[variable.name]} onChange=${(value) => setValue(variable.name, value)} />`)}</div>`}
        <label>Configuration of the run, as JSON
          <textarea rows="2" placeholder='{"lr": 0.01}' value=${fields.config} onInput=${set("config")} />
        </label>
        <button disabled=${isBusy}>Launch</button>
        <${Said} said=${said} />
        <${Pushed} entity=${entity} item=${launched} />
      </form>
    </details>`;
}

/** One template variable of the queue: a choice where its schema has one. */
function Variable({ variable, value, onChange }) {
  const { schema, name } = variable;
  const label = schema.description ? `${name}: ${schema.description}` : name;
  if (schema.enum) {
    return html`<label>${label}<select value=${value ?? schema.default ?? ""} onChange=${(event) => onChange(event.target.value)}>
      ${schema.default === undefined && html`<option value="" disabled>choose</option>`}
      ${schema.enum.map((each) => html`<option value=${each}>${each}</option>`)}
    </select></label>`;
  }
  const type = isNumber(schema) ? "number" : "text";
  const step = schema.type === "integer" ? 1 : "any";
  return html`<label>${label}<input type=${type} step=${step} min=${schema.minimum} max=${schema.maximum}
    required=${schema.default === undefined} value=${value ?? schema.default ?? ""}
    onInput=${(event) => onChange(event.target.value)} /></label>`;
}

function isNumber(schema) {
  return schema.type === "number" || schema.type === "integer";
}

/** The values that were chosen; the queue's defaults fill in the others. */
function chosen(variables, values) {
  const given = variables.filter(({ name }) => values[name] !== undefined && values[name] !== "");
  return Object.fromEntries(given.map(({ name, schema }) => [name, typed(values[name], schema)]));
}

function typed(text, schema) {
  const meant = schema.enum?.find((each) => String(each) === text);
  return meant ?? (isNumber(schema) ? Number(text) : text);
}

function useTemplateVariables(entity, id) {
  const [variables, setVariables] = useState([]);
  useEffect(() => {
    if (id) {
      graphql(VARIABLES, { entity, id }).then((data) => {
        const found = data.entity?.defaultResourceConfig?.templateVariables ?? [];
        setVariables(found.map(({ name, schema }) => ({ name, schema: JSON.parse(schema) })));
      }, () => setVariables([]));
    }
  }, [entity, id]);
  return variables;
}

function pushFields(entity, queue, fields, values, idempotencyKey) {
  const more = {
    ...(queue.prioritizationMode === "V0" ? { priority: Number(fields.priority) } : {}),
    ...(Object.keys(values).length ? { templateVariableValues: JSON.stringify(values) } : {}),
  };
  return push(entity, queue.name, specOf(fields, entity, queue.resourceType), idempotencyKey, more);
}
