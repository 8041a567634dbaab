// Signing in with an API key.

import { html, useState } from "../vendor/htm-preact-3.1.1.js";
import { graphql } from "../api.js";
import { useAction } from "../live.js";
import { Said } from "../parts.js";
import { keepKey } from "../session.js";

async function check(key) {
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw new Error("An API key has letters and digits alone.");
  }
  try {
    await graphql("query Viewer { viewer { name } }", {}, { key });
  } catch (error) {
    // The server's sentence is about the settings of programs.
    throw error.status === 401 ? new Error("This server does not know the key.") : error;
  }
}

/** The form; `onSignedIn` is called when the server knows the key. */
export function SignIn({ onSignedIn }) {
  const [key, setKey] = useState("");
  const [isKept, setKept] = useState(false);
  const [act, said, isBusy] = useAction();
  const signIn = (event) => {
    event.preventDefault();
    act(async () => {
      await check(key.trim());
      keepKey(key.trim(), isKept);
      onSignedIn();
    });
  };
  return html`
    <main class="narrow">
      <h1>Sign in</h1>
      <form onSubmit=${signIn}>
        <input type="text" name="username" autocomplete="username" value="api" hidden />
        <label>API key
          <input type="password" autocomplete="current-password" autofocus required value=${key}
            onInput=${(event) => setKey(event.target.value)} />
        </label>
        <label class="inline">
          <input type="checkbox" checked=${isKept} onChange=${(event) => setKept(event.target.checked)} />
          Stay signed in on this computer
        </label>
        <button disabled=${isBusy}>Sign in</button>
        <${Said} said=${said} />
      </form>
      <p class="quiet">Each user's keys are made with <code>launchd key create</code>, the first one by an administrator
        of this server, with <code>launchd user create</code>. A <code>launchd up</code> prints where its key is.
        Further keys are made on the web page, at <code>/authorize</code>.</p>
    </main>`;
}
