// The output of a job, followed as it is written.

import { html, useEffect, useRef, useState } from "./vendor/htm-preact-3.1.1.js";
import { readOutput } from "./api.js";

const WAIT_SECONDS = 10;
const AGAIN_MILLISECONDS = 2000;
const MOST_CHARACTERS = 500_000;
// A line that is longer is cut in the middle, so that a job which ends no line has an end that is seen.
const LONGEST_LINE = 10_000;

// What a terminal would obey and a page shows as rubbish: colours, movements of the cursor, titles of windows.
const CONTROL = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]/g;
// Its beginning, at the end of a piece. What a terminal would wait longer for is none.
const UNFINISHED = /\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]{0,2000}\x1b?)?$/;
const NOTHING = { text: "", held: "", isCut: false };

/** The output of an item's job, to its end. */
export function Output({ item }) {
  const [shown, setShown] = useState(NOTHING);
  const [note, setNote] = useState("Waiting for output ...");
  const [isFollowing, setFollowing] = useState(true);
  const box = useRef(null);
  useEffect(() => {
    const aborter = new AbortController();
    setShown(NOTHING);
    follow(item, aborter.signal, (more) => setShown((before) => joined(before, more)), setNote).catch((error) => {
      if (error.name !== "AbortError") {
        setNote(error.message);
      }
    });
    return () => aborter.abort();
  }, [item]);
  useEffect(() => {
    if (isFollowing && box.current) {
      box.current.scrollTop = box.current.scrollHeight;
    }
  }, [shown, isFollowing]);
  return html`
    <section aria-labelledby="output">
      <h2 id="output">Output</h2>
      <label class="inline"><input type="checkbox" checked=${isFollowing}
        onChange=${(event) => setFollowing(event.target.checked)} /> Follow its end</label>
      <pre class="output" tabindex="0" ref=${box}>${shown.text}</pre>
      <p class="quiet" role="status">${note}</p>
      ${shown.isCut && html`<p class="quiet">The page keeps the end of long output: <code>launchd logs ${item}</code> has more.</p>`}
    </section>`;
}

async function follow(item, signal, add, note) {
  let [attempt, position] = ["", 0];
  const decoder = new TextDecoder();
  while (!signal.aborted) {
    let read;
    try {
      read = await readOutput(item, attempt, position, WAIT_SECONDS, signal);
    } catch (error) {
      if (error.name === "AbortError" || (error.status >= 400 && error.status < 500 && error.status !== 429)) {
        throw error;
      }
      note(`${error.message} Trying again ...`);
      await new Promise((done) => setTimeout(done, AGAIN_MILLISECONDS));
      continue;
    }
    const { about, content } = read;
    if (content.length) {
      add(gapBefore(about, attempt, position) + decoder.decode(content, { stream: true }));
      attempt = about.attempt;
      position = about.start + content.length;
    }
    note(sentenceOf(about, position > 0));
    if (isComplete(about, attempt, position)) {
      return;
    }
  }
}

function gapBefore(about, attempt, position) {
  const isNew = about.attempt !== attempt;
  if (isNew && attempt) {
    return "\n[launchd: the job was begun anew]\n";
  }
  const missing = about.start - (isNew ? 0 : position);
  return missing > 0 ? `[launchd: ${missing} bytes of output are left out here]\n` : "";
}

function isComplete(about, attempt, position) {
  const hasAll = about.attempt === attempt ? position >= about.size : about.size === 0;
  return about.has_ended && about.is_complete && hasAll;
}

function sentenceOf(about, hasOutput) {
  if (about.has_ended && about.is_complete) {
    return hasOutput ? "That is all of it." : "The job wrote no output.";
  }
  if (about.hostname === null) {
    return about.has_ended ? "There is no output: no agent had the item." : "No agent has taken the item yet.";
  }
  if (!about.is_sent) {
    return `W&B's agent on host ${about.hostname} has the job, and sends its output to the job's run alone.`;
  }
  return about.is_fresh ? "" : `The agent on host ${about.hostname} was last heard ${Math.round(about.silent_seconds ?? 0)} s ago.`;
}

/**
 * Add a piece of output to what is shown: the text, of which the end is kept, and the beginning of a control sequence
 * whose end the next piece has. A line that a program writes over is the last one.
 */
function joined({ text, held, isCut }, more) {
  const given = held + more;
  const unfinished = UNFINISHED.exec(given)?.[0] ?? "";
  const plain = given.slice(0, given.length - unfinished.length).replace(CONTROL, "");
  const lastLine = text.lastIndexOf("\n") + 1;
  const ended = (text.slice(lastLine) + plain).replace(/\r\n/g, "\n").replace(/^[^\n]*\r(?!$)/gm, "");
  const whole = text.slice(0, lastLine) + ended;
  const end = endOf(whole);
  return { text: end, held: unfinished, isCut: isCut || end.length < whole.length };
}

function endOf(whole) {
  if (whole.length <= MOST_CHARACTERS) {
    return whole;
  }
  const end = whole.slice(-MOST_CHARACTERS);
  const line = end.indexOf("\n") + 1;
  return line <= LONGEST_LINE ? end.slice(line) : end;
}
