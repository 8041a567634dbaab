// Run specs, W&B's JSON: made from what people enter, and read for what is shown of an item. Pure functions.

const SECRET = /key|token|secret|password|passwd|credential/i;

/** A mistake in what was entered, as a sentence. */
export class Mistake extends Error {}

/** Return the words of a command as a shell would have them: by spaces, with quotes and backslashes. */
export function wordsOf(text) {
  const words = [];
  for (const [, ...found] of text.matchAll(/\s*((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+)|\s*(\S)/gs)) {
    if (found[1] !== undefined) {
      throw new Mistake(`In ${JSON.stringify(text)} a quote is not closed.`);
    }
    words.push(found[0].replace(/"((?:[^"\\]|\\.)*)"|'([^']*)'|\\(.)/gs, unquoted));
  }
  return words;
}

function unquoted(_, double, single, escaped) {
  return single ?? escaped ?? double.replace(/\\(["\\$`])/g, "$1");
}

/** Return the run spec for the fields of the form, in a queue for `resource`; throws a `Mistake`. */
export function specOf(fields, entity, resource) {
  const source = fields.source.trim();
  if (!source && fields.kind !== "command") {
    throw new Mistake("Say what to run.");
  }
  const spec = { entity, project: fields.project.trim() || "uncategorized", overrides: overridesOf(fields) };
  if (fields.name.trim()) {
    spec.name = fields.name.trim();
  }
  if (String(fields.gpus) !== "" && resource) {
    spec.resource_args = { [resource]: { launchd: { gpus: Number(fields.gpus) } } };
  }
  switch (fields.kind) {
    case "image":
      return { ...spec, docker: { docker_image: source } };
    case "git":
      return { ...spec, git: { repo: source, ...(fields.version.trim() ? { version: fields.version.trim() } : {}) } };
    case "command":
      return commandAlone(spec);
    default:
      return { ...spec, job: jobName(source, entity, spec.project) };
  }
}

function commandAlone(spec) {
  if (!spec.overrides.entry_point) {
    throw new Mistake("Say what to run: a command.");
  }
  return spec;
}

function jobName(source, entity, project) {
  const [path, alias = "latest"] = source.split(":");
  const parts = path.split("/");
  if (parts.length > 3 || parts.some((part) => !part)) {
    throw new Mistake(`${source} is no name of a job: NAME:ALIAS, PROJECT/NAME:ALIAS or ENTITY/PROJECT/NAME:ALIAS.`);
  }
  return `${[entity, project].slice(0, 3 - parts.length).concat(parts).join("/")}:${alias}`;
}

function overridesOf(fields) {
  const overrides = {};
  const [command, args] = [wordsOf(fields.command), wordsOf(fields.args)];
  if (command.length) {
    overrides.entry_point = command;
  }
  if (args.length) {
    overrides.args = args;
  }
  if (fields.config.trim()) {
    overrides.run_config = jsonObject(fields.config);
  }
  return overrides;
}

function jsonObject(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new Mistake(`The configuration is no JSON: ${error.message}`);
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Mistake('The configuration must be an object of JSON, as in {"lr": 0.01}.');
  }
  return value;
}

// What the server put into a run spec, or what belongs to the run that there was.
const OF_THE_OLD_RUN = ["run_id", "sweep_id", "author", "_resume_count"];

/** Return the run spec that runs what another one ran once more. */
export function again(spec) {
  return Object.fromEntries(Object.entries(spec).filter(([name]) => !OF_THE_OLD_RUN.includes(name)));
}

/** Return what an item is called: its name, else its command, else its source. */
export function titleOf(spec) {
  return String(spec?.name || commandOf(spec));
}

/** Return what an item runs, in one line. */
export function commandOf(spec) {
  const words = [spec?.overrides?.entry_point, spec?.overrides?.args].filter(Array.isArray).flat();
  const source = spec?.job || spec?.git?.repo || spec?.docker?.docker_image || spec?.image_uri || spec?.uri;
  return words.length ? words.join(" ") : String(source ?? "-");
}

/** Return a value of JSON with what lies below the names of secrets masked. */
export function masked(value) {
  if (Array.isArray(value)) {
    return value.map(masked);
  }
  if (typeof value !== "object" || value === null) {
    return value;
  }
  const entries = Object.entries(value).map(([name, each]) => {
    const isSecret = SECRET.test(name) && each && typeof each !== "object";
    return [name, isSecret ? "***" : masked(each)];
  });
  return Object.fromEntries(entries);
}
