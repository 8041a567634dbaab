// The API key of who has signed in.
//
// It lies in the browser's storage of this origin, and goes with each request as a header. A cookie would go to every
// port of this host, and with that to the jobs that listen on one.

const NAME = "launchd-key";

/** The key, or null before a user has signed in. */
export function currentKey() {
  return sessionStorage.getItem(NAME) ?? localStorage.getItem(NAME);
}

/** Keep a key until its tab is closed, or in this browser until its user signs out. */
export function keepKey(key, inThisBrowser) {
  forgetKey();
  (inThisBrowser ? localStorage : sessionStorage).setItem(NAME, key);
}

/** Sign out. */
export function forgetKey() {
  sessionStorage.removeItem(NAME);
  localStorage.removeItem(NAME);
}
