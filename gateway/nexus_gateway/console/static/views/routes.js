// The routes that are served, and how their engines are.
import { Ask, Badge, count, Empty, html, Id, Share, Table } from "../parts.js";

const CIRCUIT = { closed: ["good", "closed"], half_open: ["warn", "half open"], open: ["bad", "open"] };

export const Routes = () => html`
  <${Ask} what="routes" of=${{ served: "admin/routes", config: "admin/config" }} every=${3000}>${({ served, config }) => html`
    <p class="lead">Revision <${Id} of=${served.revision} length=${16} />, loaded ${new Date(served.loaded * 1000).toISOString().slice(0, 19).replace("T", " ")} UTC,
      from ${config.files.length} ${config.files.length === 1 ? "file" : "files"} by ${config.workers.length} ${config.workers.length === 1 ? "process" : "processes"}.
      Its commit: <code>nexus explain ${served.revision.slice(0, 12)}</code></p>
    ${config.refusal && html`<div class="told bad" role="alert"><b>Newer configuration is refused; this one serves on.</b><p>${config.refusal.reason}</p></div>`}
    ${served.routes.length === 0
      ? html`<${Empty} title="No routes">The gateway was started with files that name no model.<//>`
      : served.routes.map((route) => html`<${Route} key=${route.name} route=${route} upstreams=${served.upstreams} />`)}`}<//>`;

function Route({ route, upstreams }) {
  const rows = [
    ...route.targets.flatMap((one) => engines(one.upstream, upstreams, html`<${Share} percent=${one.percent} />`)),
    ...route.matches.flatMap((one) => engines(one.upstream, upstreams, html`<code>${one.header}: ${one.value}</code>`)),
    ...(route.shadow ? engines(route.shadow.upstream, upstreams, html`copy of ${count(route.shadow.percent)} %`) : []),
  ];
  return html`<section class="card">
    <h2>${route.name}</h2>
    <p class="facts">${route.targets.length > 1 ? `split over ${route.targets.length} targets` : "one target"} · ${route.tries} tries${route.fallbacks.length > 0 && ` · falls back to ${route.fallbacks.join(", ")}`}</p>
    <${Table} label=${`Targets of ${route.name}`} head=${["upstream", "traffic", "release", "circuit", "health", "#under way", "endpoint"]} rows=${rows} />
  </section>`;
}

function engines(name, upstreams, traffic) {
  const { release, endpoints } = upstreams[name];
  return endpoints.map((one, at) => {
    const place = one.address ? `${one.address} of ${one.url}` : one.url; // of a headless Service all have one URL
    const [kind, word] = CIRCUIT[one.state];
    const again = one.retry_after_seconds ? `, again in ${one.retry_after_seconds} s` : "";
    return [
      at ? html`<span class="sub">${name}</span>` : name, at ? "" : traffic,
      release ? html`<a href=${`#/releases/${release}`}><${Id} of=${release} /></a>` : "–",
      html`<${Badge} kind=${kind}>${word}${again}<//>`,
      html`<${Badge} kind=${one.well ? "good" : "bad"}>${one.well ? "well" : "unwell"}<//>`, count(one.in_flight),
      html`<code class="clip" title=${place}>${place}</code>`,
    ];
  });
}
