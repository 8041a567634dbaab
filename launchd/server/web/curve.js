// A small curve of one metric.

import { html } from "./vendor/htm-preact-3.1.1.js";
import { short } from "./format.js";

const [WIDTH, HEIGHT] = [320, 120];

/** `points` are pairs of step and value, at least two, sorted by step. */
export function Curve({ name, points }) {
  const [steps, values] = [points.map(([step]) => step), points.map(([, value]) => value)];
  const [first, last] = [steps[0], steps[steps.length - 1]];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const x = (step) => ((step - first) / (last - first || 1)) * WIDTH;
  const y = (value) => HEIGHT - ((value - low) / (high - low || 1)) * HEIGHT;
  const line = points.map(([step, value]) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`).join(" ");
  const latest = short(values[values.length - 1]);
  return html`
    <figure>
      <figcaption>${name} <b>${latest}</b></figcaption>
      <svg viewBox=${`-4 -4 ${WIDTH + 8} ${HEIGHT + 8}`} role="img" preserveAspectRatio="none"
        aria-label=${`${name}: from ${short(values[0])} to ${latest}, between ${short(low)} and ${short(high)}`}>
        <polyline points=${line} />
      </svg>
      <p class="quiet scale"><span>${short(low)} to ${short(high)}</span><span>step ${first} to ${last}</span></p>
    </figure>`;
}
