// What /metrics says, and what lies between two times that it was asked. Values in, values out.
const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** Prometheus's text -> name -> [labels, value]. */
export function parsed(text) {
  const found = new Map();
  for (const line of text.split("\n")) {
    const match = LINE.exec(line);
    if (!match) continue;
    const labels = {};
    for (const [, name, value] of (match[2] ?? "").matchAll(LABEL)) labels[name] = value.replace(/\\(.)/g, (_, one) => (one === "n" ? "\n" : one));
    if (!found.has(match[1])) found.set(match[1], []);
    found.get(match[1]).push([labels, Number(match[3])]);
  }
  return found;
}

const keyOf = (labels) => JSON.stringify(Object.entries(labels).sort());

/** How much each series of a counter has grown. One that begins again with its process is counted from 0. */
export function grown(name, earlier, later) {
  const before = new Map((earlier?.get(name) ?? []).map(([labels, value]) => [keyOf(labels), value]));
  return (later.get(name) ?? []).map(([labels, value]) => {
    const was = before.get(keyOf(labels)) ?? 0;
    return [labels, value >= was ? value - was : value];
  });
}

export const fits = (labels, wanted) => Object.entries(wanted).every(([name, value]) => labels[name] === value);
export const sum = (series, wanted = {}) => series.reduce((all, [labels, value]) => (fits(labels, wanted) ? all + value : all), 0);

/** Of a histogram's growth: the value below which that share of the observations lies; null where there are none. */
export function quantile(share, buckets, wanted = {}) {
  const by = new Map();
  for (const [labels, value] of buckets) {
    if (!fits(labels, wanted)) continue;
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    by.set(bound, (by.get(bound) ?? 0) + value);
  }
  const bounds = [...by.keys()].sort((one, other) => one - other);
  const all = by.get(Infinity) ?? 0;
  if (!all) return null;
  const rank = share * all;
  let below = 0, counted = 0;
  for (const bound of bounds) {
    const now = by.get(bound);
    if (now >= rank) return bound === Infinity ? below : below + (bound - below) * (now > counted ? (rank - counted) / (now - counted) : 1);
    below = bound;
    counted = now;
  }
  return below;
}

export const names = (series, label) => [...new Set(series.map(([labels]) => labels[label]))].sort();
