// Which page an address is, and what all pages have: the head with the entity, the search and the user.

import { html, render, useEffect, useState } from "./vendor/htm-preact-3.1.1.js";
import { graphql, KEY_REFUSED } from "./api.js";
import { useAction, useLive } from "./live.js";
import { addressOf, Loading, Said } from "./parts.js";
import { currentKey, forgetKey } from "./session.js";
import { Item } from "./pages/item.js";
import { Jobs } from "./pages/jobs.js";
import { Keys } from "./pages/keys.js";
import { Project } from "./pages/project.js";
import { Queue } from "./pages/queue.js";
import { Queues } from "./pages/queues.js";
import { Run } from "./pages/run.js";
import { SignIn } from "./pages/sign_in.js";

const VIEWER = `query Viewer { viewer { name entity admin teams { edges { node { name } } } } }`;
const FIND = `query Find($word: String!) { findRunQueueItems(word: $word) { id entityName } }`;

// Who joins a team sees it in the head so soon.
const VIEWER_MILLISECONDS = 30_000;

// The first that fits; a word in braces is any one part of an address.
const PAGES = [
  ["{entity}/launch", Queues],
  ["{entity}/launch/items/{id}", Item],
  ["{entity}/launch/{id}", Queue],
  ["authorize", Keys],
  ["{entity}/{project}", Project],
  ["{entity}/{project}/workspace", Project],
  ["{entity}/{project}/jobs", Jobs],
  ["{entity}/{project}/runs/{run}", Run],
  ["{entity}/{project}/sweeps/{sweep}", Project],
];

function App() {
  const [isSignedIn, setSignedIn] = useState(currentKey() !== null);
  const [path, go] = useAddress();
  const signOut = () => {
    forgetKey();
    setSignedIn(false);
  };
  useEffect(() => {
    addEventListener(KEY_REFUSED, signOut);
    return () => removeEventListener(KEY_REFUSED, signOut);
  }, []);
  if (!isSignedIn) {
    return html`<${SignIn} onSignedIn=${() => setSignedIn(true)} />`;
  }
  return html`<${SignedIn} path=${path} go=${go} signOut=${signOut} />`;
}

function SignedIn({ path, go, signOut }) {
  const live = useLive("viewer", () => graphql(VIEWER), VIEWER_MILLISECONDS);
  const viewer = live.data?.viewer;
  if (!viewer) {
    return html`<main><${Loading} live=${live} /></main>`;
  }
  const page = pageAt(path);
  const entity = page?.parts.entity ?? viewer.entity;
  return html`
    <${Head} viewer=${viewer} entity=${entity} go=${go} signOut=${signOut} />
    ${page ? html`<${page.Page} key=${path} ...${page.parts} />` : html`<${Elsewhere} path=${path} entity=${viewer.entity} go=${go} />`}`;
}

/** An address without a page: that of the server leads to the user's queues. */
function Elsewhere({ path, entity, go }) {
  useEffect(() => {
    if (path === "/") {
      go(addressOf.queues(entity), true);
    }
  }, [path]);
  return html`<main><p class="quiet">There is no page at ${path}. <a href=${addressOf.queues(entity)}>Queues of ${entity}</a></p></main>`;
}

function Head({ viewer, entity, go, signOut }) {
  const entities = [...new Set([viewer.entity, ...viewer.teams.edges.map((edge) => edge.node.name), entity])];
  const [word, setWord] = useState("");
  const [act, said, isBusy] = useAction();
  const find = (event) => {
    event.preventDefault();
    act(async () => {
      const found = (await graphql(FIND, { word: word.trim() })).findRunQueueItems;
      if (!found.length) {
        return `No item is called ${word.trim()}.`;
      }
      setWord("");
      go(addressOf.item(found[0].entityName, found[0].id));
    });
  };
  return html`
    <header>
      <a class="home" href=${addressOf.queues(entity)}>launchd</a>
      <select aria-label="Entity" value=${entity} onChange=${(event) => go(addressOf.queues(event.target.value))}>
        ${entities.map((name) => html`<option value=${name}>${name}</option>`)}
      </select>
      <form role="search" onSubmit=${find}>
        <input type="search" aria-label="Find an item" placeholder="Item, run or name" required minlength="2" value=${word} onInput=${(event) => setWord(event.target.value)} />
        <button class="plain" disabled=${isBusy}>Find</button>
      </form>
      <span class="user"><a href="/authorize" title="API keys">${viewer.name}</a> <button class="plain" onClick=${signOut}>Sign out</button></span>
    </header>
    <${Said} said=${said} />`;
}

/** Return the present path and a function that goes to another one, without loading the page anew. */
function useAddress() {
  const [path, setPath] = useState(location.pathname);
  const go = (address, isInPlace = false) => {
    history[isInPlace ? "replaceState" : "pushState"](null, "", address);
    setPath(location.pathname);
    scrollTo(0, 0);
  };
  useEffect(() => {
    const onBack = () => setPath(location.pathname);
    const onClick = (event) => {
      const link = event.target.closest?.("a");
      const isOwn = link && link.origin === location.origin && link.getAttribute("href").startsWith("/");
      if (isOwn && event.button === 0 && !(event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)) {
        event.preventDefault();
        go(link.pathname);
      }
    };
    addEventListener("popstate", onBack);
    document.addEventListener("click", onClick);
    return () => {
      removeEventListener("popstate", onBack);
      document.removeEventListener("click", onClick);
    };
  }, []);
  return [path, go];
}

function pageAt(path) {
  for (const [pattern, Page] of PAGES) {
    const parts = partsOf(path, pattern);
    if (parts) {
      return { Page, parts };
    }
  }
  return null;
}

function partsOf(path, pattern) {
  const [given, wanted] = [path.split("/").filter(Boolean), pattern.split("/")];
  if (given.length !== wanted.length) {
    return null;
  }
  const parts = {};
  for (const [place, word] of wanted.entries()) {
    const name = /^\{(\w+)\}$/.exec(word)?.[1];
    const found = decoded(given[place]);
    if (name) {
      parts[name] = found;
    } else if (word !== found) {
      return null;
    }
  }
  return parts;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} />`, root);
