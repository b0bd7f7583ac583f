// What is paid for the places that answers hold in engines: by release, and by model and tenant, from what has grown since.
import { sum } from "./figures.js";
import { placeOf } from "./tallies.js";

/** An hour. `upstreams` as /admin/routes has them. Hosted providers are paid elsewhere. */
export function costs(recent, upstreams, prices) {
  const held = recent.growth("gateway_upstream_latency_seconds_sum");
  const byRelease = new Map();
  for (const [name, upstream] of Object.entries(upstreams)) {
    if (upstream.endpoints.some((one) => one.url.startsWith("litellm://"))) continue;
    const places = sum(held, { upstream: name }) / recent.seconds;
    const release = upstream.release ?? "";
    byRelease.set(release, (byRelease.get(release) ?? 0) + places * Number(prices.place_hour));
  }
  return { byRelease, byPlace: shared(byRelease, recent.growth("gateway_tenant_tokens_total"), prices.token_weights) };
}

/** A release's cost goes to those whose tokens it has made, by their weighted number. */
function shared(byRelease, tokens, token_weights) {
  const byPlace = new Map(), weights = new Map();
  const made = tokens.map(([labels, value]) => [labels, weighed(labels.kind, value, token_weights)]);
  for (const [{ release }, weight] of made) weights.set(release, (weights.get(release) ?? 0) + weight);
  for (const [{ route, tenant, release }, weight] of made) {
    const all = weights.get(release), place = placeOf(route, tenant);
    if (all) byPlace.set(place, (byPlace.get(place) ?? 0) + ((byRelease.get(release) ?? 0) * weight) / all);
  }
  return byPlace;
}

/** Of all, or of the model and tenant that are picked. */
export function costOf({ byRelease, byPlace }, { model, tenant }) {
  const costs = model || tenant
    ? [...byPlace].flatMap(([place, cost]) => {
      const [route, whose] = JSON.parse(place);
      return (!model || route === model) && (!tenant || whose === tenant) ? [cost] : [];
    })
    : [...byRelease.values()];
  return costs.reduce((one, other) => one + other, 0);
}

/** Cached tokens are prompt tokens too, and weigh less than those that are computed. */
function weighed(kind, value, weights) {
  if (kind === "completion") return value * Number(weights.completion);
  return kind === "cached" ? value * (Number(weights.cached) - Number(weights.prompt)) : value * Number(weights.prompt);
}
