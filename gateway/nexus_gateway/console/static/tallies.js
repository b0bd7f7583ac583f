// What is counted of each model and each tenant, as few numbers, so that a quarter of an hour of it can be kept, and told
// of whichever model and tenant somebody picks.
import { quantile } from "./figures.js";

const ALL = { requests: "gateway_release_requests_total", tokens: "gateway_tokens_total",
  first: "gateway_time_to_first_byte_seconds_bucket", gap: "gateway_inter_token_latency_seconds_bucket" };
const OF_TENANTS = { requests: "gateway_tenant_requests_total", tokens: "gateway_tenant_tokens_total",
  first: "gateway_tenant_first_byte_seconds_bucket", gap: "gateway_tenant_inter_token_seconds_bucket" };

export const placeOf = (route, tenant) => JSON.stringify([route, tenant]);

/** Place -> {route, tenant, numbers}. Under the tenant `null` is what all tenants have together, by finer buckets. */
export function tallied(figures) {
  const found = new Map();
  const add = ({ route, tenant = null }, name, value) => {
    const place = placeOf(route, tenant);
    if (!found.has(place)) found.set(place, { route, tenant, numbers: {} });
    const { numbers } = found.get(place);
    numbers[name] = (numbers[name] ?? 0) + value;
  };
  for (const { requests, tokens, first, gap } of [ALL, OF_TENANTS]) {
    for (const [labels, value] of figures.get(requests) ?? []) {
      add(labels, "requests", value);
      if (Number(labels.status) >= 400) add(labels, Number(labels.status) >= 500 ? "failed" : "refused", value);
    }
    for (const [labels, value] of figures.get(tokens) ?? []) add(labels, labels.kind, value);
    for (const [labels, value] of figures.get(first) ?? []) add(labels, `first ${labels.le}`, value);
    for (const [labels, value] of figures.get(gap) ?? []) add(labels, `gap ${labels.le}`, value);
  }
  return found;
}

/** `pick`: {model, tenant}, either of them empty for all. */
export const fitsPick = ({ route, tenant }, pick) => (pick.model === "" || route === pick.model) && tenant === (pick.tenant || null);

/** Of what fits, a second; quantiles of what came between the two. A counter that begins again is counted from 0. */
export function rates(earlier, later, seconds, fits) {
  const all = {};
  for (const [place, one] of later) {
    if (!fits(one)) continue;
    const before = earlier.get(place)?.numbers ?? {};
    for (const [name, value] of Object.entries(one.numbers)) {
      const was = before[name] ?? 0;
      all[name] = (all[name] ?? 0) + (value >= was ? value - was : value);
    }
  }
  const told = {};
  for (const name of ["requests", "failed", "refused", "prompt", "cached", "completion"]) told[name] = (all[name] ?? 0) / seconds;
  for (const name of ["first", "gap"]) {
    const buckets = Object.entries(all).flatMap(([one, value]) => (one.startsWith(`${name} `) ? [[{ le: one.slice(name.length + 1) }, value]] : []));
    told[`${name}50`] = quantile(0.5, buckets);
    told[`${name}95`] = quantile(0.95, buckets);
  }
  return told;
}
