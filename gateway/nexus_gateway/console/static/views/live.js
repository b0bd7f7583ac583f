// What goes through the gateway just now, of all or of the model and tenant that somebody picks: over the last minute.
import { quantile, sum } from "../figures.js";
import { Component, count, Empty, Failed, html, Id, Loading, seconds, Table } from "../parts.js";
import { paying } from "../paying.js";
import { TimePlot } from "../plots.js";
import { fitsPick, placeOf } from "../tallies.js";
import { heard, pace, pick, recent, watching } from "../watching.js";

const PACES = [[1000, "each second"], [5000, "every 5 s"], [15000, "every 15 s"], [0, "paused"]];
const OTHERS = "other"; // as the gateway counts all whom its routes do not name
const MOST_ROWS = 100;

export class Live extends Component {
  componentDidMount() { this.quiet = heard(() => this.setState({})); }

  componentWillUnmount() { this.quiet(); }

  render() {
    const { error, points, who } = watching;
    return html`
      <div class="line"><p class="lead">Over the last minute, ${who.admin ? "of the gateway that answers this page" : html`of tenant <b>${who.tenant}</b>, by the gateway that answers this page`}.</p>
        <${Picks} /></div>
      ${error && html`<${Failed} error=${error} again />`}
      ${points.length === 0 ? !error && html`<${Loading} what="two looks at the figures" />` : html`<${Found} />`}`;
  }
}

/** Tenants for whom more than one may be seen. What is picked stays in the list while nobody asks for it. */
function Picks() {
  const tallies = [...(watching.looks.at(-1)?.tallies.values() ?? [])], { who, pick: { model, tenant }, every } = watching;
  const models = [...new Set([...tallies.map((one) => one.route), model])].filter(Boolean).sort();
  const tenants = [...new Set([...tallies.map((one) => one.tenant), tenant])].filter(Boolean).sort();
  return html`<div class="picks">
    <${Pick} name="model" label="Model" value=${model} options=${[["", "all"], ...models.map((one) => [one, one])]} />
    ${who.admin && html`<${Pick} name="tenant" label="Tenant" value=${tenant} options=${[["", "all"], ...tenants.map((one) => [one, one])]} />`}
    <label>Look <select name="look" value=${every} onChange=${(event) => pace(Number(event.target.value))}>
      ${PACES.map(([one, label]) => html`<option value=${one} selected=${one === every}>${label}</option>`)}</select></label></div>`;
}

const Pick = ({ name, label, value, options }) => html`
  <label>${label} <select name=${name} value=${value} onChange=${(event) => pick({ [name]: event.target.value })}>
    ${options.map(([one, text]) => html`<option value=${one} selected=${one === value}>${text}</option>`)}</select></label>`;

function Found() {
  const { who, pick: { model, tenant } } = watching, now = recent();
  if (tenant === OTHERS && !who.admin) {
    return html`<${Empty} title="This key has no figures of its own">The routes name it neither in <code>policies</code> nor in <code>subjects</code>, so that its requests are counted together with those of everybody else whom they do not name.<//>`;
  }
  if (![...watching.looks.at(-1).tallies.values()].some((one) => fitsPick(one, watching.pick))) {
    const asked = [model && `model ${model}`, tenant && `tenant ${tenant}`].filter(Boolean).join(" and ");
    return html`<${Empty} title="No request yet">Nothing has been asked for${asked ? ` that fits ${asked}` : ""} since this gateway began.<//><p class="note">${told(now)}</p>`;
  }
  const all = who.admin && !model && !tenant;
  return html`
    <${Tiles} flight=${all ? sum(now.later.get("gateway_in_flight_requests") ?? []) : null} />
    <${Plots} />
    ${who.admin && !tenant && html`<${ByRelease} now=${now} />`}
    <${ByTenant} now=${now} />
    <p class="note">TTFT is the time to the first token, ITL that between two. 4xx are requests that were refused or given up, 5xx those that failed. ${who.admin && !tenant ? "" : "Quantiles of a tenant are read from ten buckets, and are rough. "}${told(now)}</p>`;
}

function told(now) {
  if (!watching.who.admin) return "Costs are told to keys with the scope admin.";
  return now.cost
    ? "Cost: the places that answers hold in engines, at the environment's prices; to tenants by their tokens. What pods cost while they wait is told by nexus cost."
    : "No cost is told: the gateway knows no prices (GATEWAY_CONSOLE_CHECKOUT and GATEWAY_CONSOLE_ENVIRONMENT).";
}

function Tiles({ flight }) {
  const last = watching.points.at(-1);
  const share = (part) => (last.requests ? `${count((100 * part) / last.requests)} %` : "–");
  return html`<dl class="tiles">
    <${Tile} name="requests / s" value=${count(last.requests)} />
    <${Tile} name="5xx" value=${share(last.failed)} kind=${last.failed ? "bad" : ""} />
    <${Tile} name="4xx" value=${share(last.refused)} />
    <${Tile} name="TTFT p95" value=${seconds(last.first95)} />
    <${Tile} name="ITL p95" value=${seconds(last.gap95)} />
    <${Tile} name="tokens / s" value=${count(last.prompt + last.completion)} />
    ${flight !== null && html`<${Tile} name="in flight" value=${count(flight)} />`}
    ${last.cost !== null && html`<${Tile} name=${`${paying.prices?.currency ?? ""} / hour`} value=${count(last.cost)} />`}
  </dl>`;
}

const Tile = ({ name, value, kind = "" }) => html`<div class=${kind}><dt>${name}</dt><dd>${value}</dd></div>`;

function Plots() {
  const { points } = watching;
  return html`<div class="plots">
    <${TimePlot} title="Requests a second" points=${points} told=${count} lines=${[["requests", "all", "--one"]]} />
    <${TimePlot} title="Errors a second" points=${points} told=${count} lines=${[["failed", "5xx", "--bad"], ["refused", "4xx", "--two"]]} />
    <${TimePlot} title="First token" points=${points} told=${seconds} lines=${[["first50", "p50", "--one"], ["first95", "p95", "--two"]]} />
    <${TimePlot} title="Between tokens" points=${points} told=${seconds} lines=${[["gap50", "p50", "--one"], ["gap95", "p95", "--two"]]} />
    <${TimePlot} title="Tokens a second" points=${points} told=${count} lines=${[["prompt", "prompt", "--one"], ["completion", "answer", "--two"]]} />
    ${points.at(-1).cost !== null && html`<${TimePlot} title=${`${paying.prices?.currency ?? ""} an hour`} points=${points} told=${count} lines=${[["cost", "cost", "--one"]]} />`}
  </div>`;
}

const FIGURES = ["#requests/s", "#5xx", "#4xx", "#TTFT p50", "#p95", "#ITL p50", "#p95 ", "#prompt tok/s", "#cached", "#answer tok/s"];
const head = (now, ...first) => [...first, ...FIGURES, ...(now.cost ? [`#${paying.prices?.currency ?? ""}/h`] : [])];

function cells(told, now, cost) {
  const share = (part) => (told.requests ? `${count((100 * part) / told.requests)} %` : "–");
  return [
    count(told.requests), share(told.failed), share(told.refused),
    seconds(told.first50), seconds(told.first95), seconds(told.gap50), seconds(told.gap95),
    count(told.prompt), count(told.cached), count(told.completion), ...(now.cost ? [count(cost)] : []),
  ];
}

function ByRelease({ now }) {
  const answers = now.growth("gateway_release_requests_total"), tokens = now.growth("gateway_tokens_total");
  const first = now.growth("gateway_time_to_first_byte_seconds_bucket"), gaps = now.growth("gateway_inter_token_latency_seconds_bucket");
  const seen = new Map(answers.map(([{ route, release }]) => [placeOf(route, release), { route, release }]));
  const fits = [...seen.values()].filter((one) => !watching.pick.model || one.route === watching.pick.model);
  const rows = fits.sort((one, other) => (placeOf(one.route, one.release) < placeOf(other.route, other.release) ? -1 : 1)).map((of) => {
    const by = (low, high) => sum(answers.filter(([{ status }]) => Number(status) >= low && Number(status) < high), of) / now.seconds;
    const made = (kind) => sum(tokens, { ...of, kind }) / now.seconds;
    const told = {
      requests: by(0, 1000), failed: by(500, 1000), refused: by(400, 500),
      first50: quantile(0.5, first, of), first95: quantile(0.95, first, of), gap50: quantile(0.5, gaps, of), gap95: quantile(0.95, gaps, of),
      prompt: made("prompt"), cached: made("cached"), completion: made("completion"),
    };
    return [of.route, of.release ? html`<a href=${`#/releases/${of.release}`}><${Id} of=${of.release} length=${8} /></a>` : "–", ...cells(told, now, now.cost?.byRelease.get(of.release))];
  });
  return html`<section><h2>By model and release</h2><${Table} label="By model and release" head=${head(now, "model", "release")} rows=${rows} /></section>`;
}

function ByTenant({ now }) {
  const { model, tenant } = watching.pick;
  const seen = [...watching.looks.at(-1).tallies].filter(([, one]) => one.tenant !== null && (!model || one.route === model) && (!tenant || one.tenant === tenant));
  const told = seen.map(([place, one]) => ({ ...one, place, rates: now.ratesAt(place) }));
  const most = told.sort((one, other) => other.rates.requests - one.rates.requests).slice(0, MOST_ROWS);
  const rows = most.sort((one, other) => (one.place < other.place ? -1 : 1)).map((one) => [
    one.route, one.tenant, ...cells(one.rates, now, now.cost?.byPlace.get(one.place) ?? 0),
  ]);
  return html`<section><h2>By model and tenant</h2>
    ${told.length > MOST_ROWS && html`<p class="facts">The ${MOST_ROWS} that ask most, of ${told.length}: pick a model or a tenant for the others.</p>`}
    <${Table} label="By model and tenant" head=${head(now, "model", "tenant")} rows=${rows} /></section>`;
}
