// Values as text for people. Pure functions.

const UNITS = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

/** A time in its two largest units, as the command line has it: `7s`, `2m05s`, `3h10m`. */
export function age(seconds) {
  const rounded = Math.max(0, Math.floor(seconds));
  for (let place = 0; place < UNITS.length - 1; place++) {
    const [[unit, size], [smaller, part]] = [UNITS[place], UNITS[place + 1]];
    if (rounded >= size) {
      return `${Math.floor(rounded / size)}${unit}${String(Math.floor((rounded % size) / part)).padStart(2, "0")}${smaller}`;
    }
  }
  return `${rounded}s`;
}

/** Seconds from one moment of ISO 8601 to another, or until now. */
export function secondsBetween(from, to = null) {
  return ((to === null ? Date.now() : moment(to).getTime()) - moment(from).getTime()) / 1000;
}

/** A moment in the reader's own zone, to the second. */
export function localTime(text) {
  return moment(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });
}

/** The server's times are UTC, also where they do not say so. */
function moment(text) {
  return new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
}

// Strings, so that what is in one is passed over, and the numbers that JSON lacks.
const STRINGS_AND_ODD_NUMBERS = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN/gs;

/** JSON as programs in Python write it: what is no number, or infinite, becomes its name. */
export function parsed(text) {
  return JSON.parse(text.replace(STRINGS_AND_ODD_NUMBERS, (found) => (found.startsWith('"') ? found : `"${found}"`)));
}

/** Whether a value is a number, or the name of one that JSON lacks. */
export function isNumber(value) {
  return typeof value === "number" || ["NaN", "Infinity", "-Infinity"].includes(value);
}

/** Any value of JSON, in one line. */
export function inOneLine(value) {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** A number with few digits: `0.03127`, `12,345`, `1.2e-9`. */
export function short(number) {
  if (Number.isInteger(number)) {
    return number.toLocaleString("en");
  }
  const size = Math.abs(number);
  return size !== 0 && (size < 1e-4 || size >= 1e6) ? number.toExponential(3) : String(Number(number.toPrecision(5)));
}

/** `1 item`, `2 items`. */
export function counted(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}
