// Figures, asked for again and again while the page is looked at, and the last quarter of an hour of them. Whose key has
// the scope admin looks at /metrics, which has all tenants; others, and who is on a port without it, at their own.
import { text } from "./asking.js";
import { costOf, costs } from "./costs.js";
import { grown, parsed } from "./figures.js";
import { forget, paying, price } from "./paying.js";
import { fitsPick, rates, tallied } from "./tallies.js";

const KEPT = 15 * 60_000;
const WINDOW = 60_000; // over which rates and quantiles are told
const WHOLE = WINDOW * 1.5; // of looks that are kept with all that they have found
const APART = 5000; // milliseconds between those that are older
const MOST = 500; // models and tenants of which a quarter of an hour is kept; of more, what was looked at last
const NOBODY = { tenant: "", admin: false };
const ALL = { model: "", tenant: "" };

export const watching = { who: NOBODY, every: 5000, looks: [], points: [], error: null, pick: ALL };
const listeners = new Set();
let timer = 0, running = false, looked = 0;

export const heard = (listener) => { listeners.add(listener); return () => listeners.delete(listener); };

/** `who`: {tenant, admin}, as the gateway knows the key. */
export function begin(who) {
  if (running) return;
  running = true;
  watching.who = who;
  pick({ tenant: who.admin ? "" : who.tenant });
  look();
}

export function end() {
  running = false;
  clearTimeout(timer);
  forget();
  Object.assign(watching, { who: NOBODY, looks: [], points: [], error: null, pick: ALL });
}

export function pace(every) {
  watching.every = every;
  clearTimeout(timer);
  if (running && every) timer = setTimeout(look, Math.max(0, looked + every - Date.now())); // two at once tell of no time
  tell();
}

/** A model, a tenant, or both; empty is all. */
export function pick(some) {
  watching.pick = { ...watching.pick, ...some };
  watching.points = watching.looks.slice(1).map((one) => point(one));
  tell();
}

const tell = () => listeners.forEach((listener) => listener());

async function look() {
  clearTimeout(timer);
  looked = Date.now();
  if (!document.hidden) {
    try {
      const figures = parsed(await seen());
      if (!running) return;
      if (watching.who.admin) price(figures);
      keep({ at: Date.now(), figures, tallies: tallied(figures), cost: null });
      watching.error = null;
    } catch (error) {
      watching.error = error;
    }
    tell();
  }
  if (running && watching.every) timer = setTimeout(look, watching.every);
}

async function seen() {
  if (!watching.who.admin) return text("v1/figures");
  try {
    return await text("metrics");
  } catch (error) {
    if (error.code !== "page_not_found" || watching.who.tenant === null) throw error;
    watching.who = { ...watching.who, admin: false }; // operators have a port of their own, and this is the other
    pick({ tenant: watching.who.tenant });
    return text("v1/figures");
  }
}

function keep(found) {
  const most = found.tallies.size > MOST ? WHOLE : KEPT;
  const newest = watching.looks.at(-1); // after a pause all that there is to compare with
  let last = -Infinity;
  watching.looks = [...watching.looks.filter((one) => {
    const age = found.at - one.at;
    if (one === newest) return true;
    if (age > WHOLE) one.figures = null;
    if (age > most || (age > WHOLE && one.at - last < APART)) return false;
    last = one.at;
    return true;
  }), found];
  if (watching.looks.length < 2) return;
  if (paying.prices && paying.upstreams) found.cost = costs(recent(), paying.upstreams, paying.prices);
  watching.points = [...watching.points.filter((one) => found.at - one.at < KEPT), point(found)];
}

/** The last look at all, and the one a minute before it. */
export function recent() {
  const later = watching.looks.at(-1), earlier = before(later);
  const seconds = between(earlier, later);
  return {
    at: later.at, seconds, later: later.figures, cost: later.cost,
    growth: (name) => grown(name, earlier.figures, later.figures),
    ratesAt: (place) => rates(earlier.tallies, [[place, later.tallies.get(place)]], seconds, () => true),
  };
}

/** After a pause, one that is older. */
function before(later) {
  const earlier = watching.looks.slice(0, watching.looks.indexOf(later));
  return earlier.find((one) => later.at - one.at <= WINDOW) ?? earlier.at(-1) ?? later;
}

const between = (earlier, later) => Math.max(0.001, (later.at - earlier.at) / 1000);

function point(later) {
  const earlier = before(later);
  const told = rates(earlier.tallies, later.tallies, between(earlier, later), (one) => fitsPick(one, watching.pick));
  return { at: later.at, ...told, cost: later.cost && costOf(later.cost, watching.pick) };
}
