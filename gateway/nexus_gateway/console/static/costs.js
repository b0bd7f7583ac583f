// What is paid for the places that answers hold in engines, by release and by tenant, from what has grown since.
import { sum } from "./figures.js";

/** `upstreams` as /admin/routes has them. Hosted providers are paid elsewhere. */
export function costs(recent, upstreams, prices) {
  const held = recent.growth("gateway_upstream_latency_seconds_sum");
  const byRelease = new Map();
  for (const [name, upstream] of Object.entries(upstreams)) {
    if (upstream.endpoints.some((one) => one.url.startsWith("litellm://"))) continue;
    const places = sum(held, { upstream: name }) / recent.seconds;
    const release = upstream.release ?? "";
    byRelease.set(release, (byRelease.get(release) ?? 0) + places * Number(prices.place_hour));
  }
  const tokens = recent.growth("gateway_tenant_tokens_total");
  const byTenant = new Map();
  for (const [release, cost] of byRelease) {
    const weights = new Map();
    for (const [labels, value] of tokens) {
      if (labels.release === release) weights.set(labels.tenant, (weights.get(labels.tenant) ?? 0) + weighed(labels.kind, value, prices.token_weights));
    }
    const all = [...weights.values()].reduce((one, other) => one + other, 0);
    for (const [tenant, weight] of weights) if (all) byTenant.set(tenant, (byTenant.get(tenant) ?? 0) + (cost * weight) / all);
  }
  return { byRelease, byTenant };
}

/** Cached tokens are prompt tokens too, and weigh less than those that are computed. */
function weighed(kind, value, weights) {
  if (kind === "completion") return value * Number(weights.completion);
  return kind === "cached" ? value * (Number(weights.cached) - Number(weights.prompt)) : value * Number(weights.prompt);
}
