// What a page shows stays true: it is asked for again and again while the page is seen.

import { useEffect, useRef, useState } from "./vendor/htm-preact-3.1.1.js";

const AGAIN_MILLISECONDS = 2000;
const AGAIN_AFTER_FAILURE_MILLISECONDS = 5000;

/**
 * Return `{data, error, reload}`: what `load()` returned last, and the failure of the last try.
 *
 * `name` says what is loaded: with another one, loading begins anew. A hidden page asks for nothing.
 */
export function useLive(name, load, againMilliseconds = AGAIN_MILLISECONDS) {
  const [state, setState] = useState({ name, data: null, error: null });
  const reload = useRef(() => {});
  useEffect(() => {
    let timer = null;
    let isOver = false;
    let latest = 0;
    const look = async () => {
      clearTimeout(timer);
      const number = ++latest;
      const next = await outcome(load);
      if (isOver || number !== latest) {
        return;
      }
      setState((before) => ({ name, data: next.data ?? (before.name === name ? before.data : null), error: next.error }));
      timer = setTimeout(whileSeen, next.error ? AGAIN_AFTER_FAILURE_MILLISECONDS : againMilliseconds);
    };
    const whileSeen = () => (document.hidden ? null : look());
    document.addEventListener("visibilitychange", whileSeen);
    reload.current = look;
    look();
    return () => {
      isOver = true;
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", whileSeen);
    };
  }, [name]);
  const shown = state.name === name ? state : { data: null, error: null };
  return { data: shown.data, error: shown.error, reload: () => reload.current() };
}

async function outcome(load) {
  try {
    return { data: await load(), error: null };
  } catch (error) {
    return { data: null, error };
  }
}

/** Return `[act, said, isBusy]`: `act(work)` runs it once at a time; `said` is its sentence, or that of its failure. */
export function useAction() {
  const [said, setSaid] = useState(null);
  const [isBusy, setBusy] = useState(false);
  const act = async (work) => {
    setBusy(true);
    setSaid(null);
    try {
      const sentence = await work();
      setSaid(sentence ? { isError: false, sentence } : null);
    } catch (error) {
      setSaid({ isError: true, sentence: error.message });
    } finally {
      setBusy(false);
    }
  };
  return [act, said, isBusy];
}
