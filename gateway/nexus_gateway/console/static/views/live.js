// What goes through the gateway just now: rates over the last minute.
import { costs } from "../costs.js";
import { names, quantile, sum } from "../figures.js";
import { Component, count, Empty, Failed, html, Id, Loading, seconds, Table } from "../parts.js";
import { TimePlot } from "../plots.js";
import { heard, pace, recent, watching } from "../watching.js";
import { json } from "../asking.js";

const PACES = [[1000, "each second"], [5000, "every 5 s"], [15000, "every 15 s"], [0, "paused"]];

export class Live extends Component {
  state = { prices: null, upstreams: null };

  componentDidMount() {
    this.quiet = heard(() => { this.setState({}); this.price(); });
    this.price();
  }

  componentWillUnmount() { this.quiet(); }

  /** What is paid for, of the revision that is served: asked for when that has changed, and again where it has failed. */
  async price() {
    const served = (watching.looks.at(-1)?.figures.get("gateway_config_info") ?? []).map(([{ revision }]) => revision).join();
    if (this.pricing || this.priced === served) return;
    this.pricing = true;
    try {
      const [{ prices }, { upstreams }] = await Promise.all([json("admin/prices"), json("admin/routes")]);
      this.priced = served;
      this.setState({ prices, upstreams });
    } catch (error) {
      if (error.code === "missing_scope" || error.code === "page_not_found") this.priced = served; // no more for the next try
    } finally {
      this.pricing = false;
    }
  }

  render(_, { prices, upstreams }) {
    const { error, points } = watching;
    return html`
      <div class="line"><p class="lead">Over the last minute, of the gateway process that answers this page.</p>
        <label>Look <select value=${watching.every} onChange=${(event) => pace(Number(event.target.value))}>
          ${PACES.map(([every, label]) => html`<option value=${every} selected=${every === watching.every}>${label}</option>`)}</select></label></div>
      ${error && html`<${Failed} error=${error} again />`}
      ${points.length === 0 ? !error && html`<${Loading} what="two looks at /metrics" />` : html`<${Figures} prices=${prices} upstreams=${upstreams} />`}`;
  }
}

function Figures({ prices, upstreams }) {
  const now = recent(), points = watching.points, last = points.at(-1);
  const paid = prices && upstreams ? costs(now, upstreams, prices) : null;
  const flight = sum(now.later.get("gateway_in_flight_requests") ?? []);
  const all = paid && [...paid.byRelease.values()].reduce((one, other) => one + other, 0);
  return html`
    <dl class="tiles">
      <${Tile} name="requests / s" value=${count(last.requests)} />
      <${Tile} name="errors" value=${last.requests ? `${count((100 * last.errors) / last.requests)} %` : "–"} kind=${last.errors ? "bad" : ""} />
      <${Tile} name="first token, p95" value=${seconds(last.first95)} />
      <${Tile} name="between tokens, p95" value=${seconds(last.gap95)} />
      <${Tile} name="tokens / s" value=${count(last.prompt + last.completion)} />
      <${Tile} name="in flight" value=${count(flight)} />
      ${paid && html`<${Tile} name=${`${prices.currency} / hour`} value=${count(all)} />`}
    </dl>
    <div class="plots">
      <${TimePlot} title="Requests a second" points=${points} told=${count} lines=${[["requests", "all", "--one"], ["errors", "5xx", "--bad"]]} />
      <${TimePlot} title="Time to first token" points=${points} told=${seconds} lines=${[["first50", "p50", "--one"], ["first95", "p95", "--two"]]} />
      <${TimePlot} title="Between tokens" points=${points} told=${seconds} lines=${[["gap50", "p50", "--one"], ["gap95", "p95", "--two"]]} />
      <${TimePlot} title="Tokens a second" points=${points} told=${count} lines=${[["prompt", "prompt", "--one"], ["completion", "answer", "--two"]]} />
    </div>
    <${ByModel} now=${now} paid=${paid} prices=${prices} />
    <${ByTenant} now=${now} paid=${paid} prices=${prices} />
    <p class="note">${paid
      ? `Cost: the places that answers hold in engines, at the environment's prices. What pods cost while they wait is told by nexus cost.`
      : "No cost is told: the gateway knows no prices (GATEWAY_CONSOLE_CHECKOUT and GATEWAY_CONSOLE_ENVIRONMENT), or the key may not see them."}</p>`;
}

const Tile = ({ name, value, kind = "" }) => html`<div class=${kind}><dt>${name}</dt><dd>${value}</dd></div>`;

function ByModel({ now, paid, prices }) {
  const answers = now.growth("gateway_release_requests_total"), tokens = now.growth("gateway_tokens_total");
  const first = now.growth("gateway_time_to_first_byte_seconds_bucket"), gaps = now.growth("gateway_inter_token_latency_seconds_bucket");
  const seen = new Map(answers.map(([{ route, release }]) => [`${route} ${release}`, { route, release }]));
  if (seen.size === 0) return html`<${Empty} title="No request yet">Nothing has asked for a model since this gateway began.<//>`;
  const rows = [...seen.values()].sort((one, other) => (one.route + one.release < other.route + other.release ? -1 : 1)).map((of) => {
    const requests = sum(answers, of), failed = sum(answers.filter(([labels]) => Number(labels.status) >= 500), of);
    return [
      of.route, of.release ? html`<a href=${`#/releases/${of.release}`}><${Id} of=${of.release} /></a>` : "–",
      count(requests / now.seconds), requests ? `${count((100 * failed) / requests)} %` : "–",
      seconds(quantile(0.5, first, of)), seconds(quantile(0.95, first, of)), seconds(quantile(0.5, gaps, of)), seconds(quantile(0.95, gaps, of)),
      count(sum(tokens, { ...of, kind: "prompt" }) / now.seconds), count(sum(tokens, { ...of, kind: "completion" }) / now.seconds),
      ...(paid ? [count(paid.byRelease.get(of.release))] : []),
    ];
  });
  const head = ["model", "release", "#requests/s", "#5xx", "#TTFT p50", "#p95", "#ITL p50", "#p95 ", "#prompt tok/s", "#answer tok/s", ...(paid ? [`#${prices.currency}/h`] : [])];
  return html`<section><h2>By model and release</h2><${Table} label="By model and release" head=${head} rows=${rows} /></section>`;
}

function ByTenant({ now, paid, prices }) {
  const tokens = now.growth("gateway_tenant_tokens_total");
  const tenants = names(tokens, "tenant");
  if (tenants.length === 0) return null;
  const rows = tenants.map((tenant) => [
    tenant, ...["prompt", "cached", "completion"].map((kind) => count(sum(tokens, { tenant, kind }) / now.seconds)),
    ...(paid ? [count(paid.byTenant.get(tenant) ?? 0)] : []),
  ]);
  const head = ["tenant", "#prompt tok/s", "#of it cached", "#answer tok/s", ...(paid ? [`#${prices.currency}/h`] : [])];
  return html`<section><h2>By tenant</h2><${Table} label="By tenant" head=${head} rows=${rows} /></section>`;
}
