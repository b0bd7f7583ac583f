// /metrics, asked again and again while the page is looked at, and the last quarter of an hour of it.
import { text } from "./asking.js";
import { grown, parsed, quantile, sum } from "./figures.js";

const KEPT = 15 * 60_000;
const WINDOW = 60_000; // over which rates and quantiles are told

export const watching = { looks: [], points: [], every: 5000, error: null };
const listeners = new Set();
let timer = 0, running = false;

export const heard = (listener) => { listeners.add(listener); return () => listeners.delete(listener); };

export function begin() {
  if (running) return;
  running = true;
  look();
}

export function end() {
  running = false;
  clearTimeout(timer);
  Object.assign(watching, { looks: [], points: [], error: null });
}

export function pace(every) {
  watching.every = every;
  clearTimeout(timer);
  if (running && every) look();
  tell();
}

const tell = () => listeners.forEach((listener) => listener());

async function look() {
  clearTimeout(timer);
  if (!document.hidden) {
    try {
      const found = { at: Date.now(), figures: parsed(await text("metrics")) };
      if (!running) return;
      watching.looks = [...watching.looks.filter((one) => found.at - one.at <= WINDOW * 1.5), found];
      watching.error = null;
      if (watching.looks.length > 1) watching.points = [...watching.points.filter((one) => found.at - one.at < KEPT), point(recent())];
    } catch (error) {
      watching.error = error;
    }
    tell();
  }
  if (running && watching.every) timer = setTimeout(look, watching.every);
}

/** The last look, and the one a minute before it. */
export function recent() {
  const later = watching.looks.at(-1);
  const before = watching.looks.slice(0, -1);
  const earlier = before.find((one) => later.at - one.at <= WINDOW) ?? before.at(-1) ?? later; // after a pause, one that is older
  const seconds = Math.max(0.001, (later.at - earlier.at) / 1000);
  return { at: later.at, seconds, later: later.figures, growth: (name) => grown(name, earlier.figures, later.figures) };
}

function point({ at, seconds, growth }) {
  const first = growth("gateway_time_to_first_byte_seconds_bucket"), gaps = growth("gateway_inter_token_latency_seconds_bucket");
  const answers = growth("gateway_release_requests_total"), tokens = growth("gateway_tokens_total");
  const failed = answers.filter(([labels]) => Number(labels.status) >= 500);
  return {
    at,
    requests: sum(answers) / seconds,
    errors: sum(failed) / seconds,
    first50: quantile(0.5, first),
    first95: quantile(0.95, first),
    gap50: quantile(0.5, gaps),
    gap95: quantile(0.95, gaps),
    prompt: sum(tokens, { kind: "prompt" }) / seconds,
    completion: sum(tokens, { kind: "completion" }) / seconds,
  };
}
