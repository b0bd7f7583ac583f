// Canaries in progress: their steps, what is counted of both releases, and what was decided.
import { quantile, sum } from "../figures.js";
import { Ask, Badge, Component, count, Empty, html, Id, moment, seconds, Table } from "../parts.js";
import { heard, watching } from "../watching.js";

export const Canaries = () => html`
  <${Ask} what="canaries" of=${{ git: "admin/canaries", served: "admin/routes" }} every=${5000}>${({ git, served }) => {
    const found = inProgress(git, served);
    return html`
      ${git.problem && html`<p class="note">Splits that are served are shown; steps and evidence are not known: ${git.problem}.</p>`}
      ${!git.problem && !git.environment && html`<p class="note">Splits that are served are shown; steps and evidence are not known: GATEWAY_CONSOLE_ENVIRONMENT names no environment.</p>`}
      ${found.length === 0
        ? html`<${Empty} title="No canary">No model's traffic is split between two releases. A new release of a model begins as one, at weight 0.<//>`
        : found.map((one) => html`<${Canary} key=${one.model} one=${one} steps=${git.steps} then=${git.then} />`)}`;
  }}<//>`;

/** Those of the plans, and besides them every route that is split between releases. */
function inProgress(git, served) {
  const split = served.routes.flatMap((route) => {
    const arms = route.targets.map((one) => ({ release: served.upstreams[one.upstream].release, percent: one.percent }));
    const [stable, canary] = [...arms].sort((one, other) => other.percent - one.percent);
    return canary?.release && stable.release && canary.release !== stable.release ? [{ model: route.name, stable: stable.release, canary: canary.release, served: canary.percent, evidence: [] }] : [];
  });
  const planned = git.canaries.map((one) => {
    const route = served.routes.find((each) => each.name === one.model);
    const target = route?.targets.find((each) => served.upstreams[each.upstream].release === one.canary);
    return { ...one, served: target?.percent ?? null };
  });
  const known = new Set(planned.map((one) => one.model));
  return [...planned, ...split.filter((one) => !known.has(one.model))];
}

class Canary extends Component {
  componentDidMount() { this.quiet = heard(() => this.setState({})); }

  componentWillUnmount() { this.quiet(); }

  render({ one, steps, then }) {
    const weight = one.weight ?? one.served ?? 0;
    return html`<section class="card">
      <h2>${one.model} <${Badge} kind="warn">${count(weight)} %<//></h2>
      <p class="facts">stable <a href=${`#/releases/${one.stable}`}><${Id} of=${one.stable} /></a>, canary <a href=${`#/releases/${one.canary}`}><${Id} of=${one.canary} /></a>
        ${one.served === null ? " · not served by this gateway" : one.served !== weight && ` · this gateway serves ${count(one.served)} %`}</p>
      ${steps.length > 0 && html`<${Steps} steps=${steps} then=${then} weight=${weight} />`}
      <${Arms} one=${one} />
      ${one.evidence.length > 0 && html`<${Evidence} evidence=${one.evidence} />`}
    </section>`;
  }
}

const Steps = ({ steps, then, weight }) => html`<ol class="steps" aria-label="Declared steps">
  ${[0, ...steps].map((step) => html`<li class=${step < weight ? "past" : step === weight ? "now" : ""} aria-current=${step === weight ? "step" : null}>${step} %</li>`)}
  <li>${then === "promote" ? "promoted" : "a person decides"}</li></ol>`;

const FAILED = /^(error|uncalled|429|5\d\d)$/; // as nexus canary counts: a caller that leaves says nothing of a release

function Arms({ one }) {
  const figures = watching.looks.at(-1)?.figures;
  const get = (name) => figures?.get(name) ?? [];
  if (!figures || sum(get("gateway_drawn_requests_total"), { route: one.model }) === 0) {
    return html`<p class="note">No request of it has been drawn since this gateway process began.</p>`;
  }
  const rows = [["stable", one.stable], ["canary", one.canary]].map(([arm, release]) => {
    const of = { route: one.model, release }, drawn = get("gateway_drawn_requests_total");
    const all = sum(drawn, of), failed = sum(drawn.filter(([{ call }]) => FAILED.test(call)), of);
    const endings = get("gateway_drawn_endings_total"), said = sum(endings, of);
    const refused = sum(endings.filter(([{ ending }]) => ending === "refusal" || ending === "content_filter"), of);
    const at = (share, name) => quantile(share, get(`${name}_bucket`), of);
    return [
      arm, html`<${Id} of=${release} />`, count(all), all ? `${count((100 * failed) / all)} %` : "–", said ? `${count((100 * refused) / said)} %` : "–",
      seconds(at(0.5, "gateway_drawn_first_byte_seconds")), seconds(at(0.95, "gateway_drawn_first_byte_seconds")),
      seconds(at(0.95, "gateway_drawn_inter_token_seconds")), seconds(at(0.5, "gateway_drawn_call_seconds")), count(at(0.5, "gateway_drawn_answer_tokens")),
    ];
  });
  const head = ["arm", "release", "#drawn", "#errors", "#refusals", "#TTFT p50", "#p95", "#ITL p95", "#holds p50", "#tokens p50"];
  return html`<${Table} label=${`Figures of ${one.model} by release`} head=${head} rows=${rows} />`;
}

function Evidence({ evidence }) {
  const last = evidence.at(-1);
  const rows = [...evidence].reverse().map((one) => [
    moment(one.until), `${one.weight} %`, html`<${Badge} kind=${{ revert: "bad", hold: "" }[one.decision.action] ?? "good"}>${one.decision.action}<//>`,
    one.decision.reason, count(one.requests.stable), count(one.requests.canary), html`<${Id} of=${one.digest} length=${8} />`,
  ]);
  return html`
    <h3>Evidence that it is worse than allowed; at its threshold the canary goes back</h3>
    <ul class="tests">${last.tests.map((test) => html`<${Test} test=${test} />`)}</ul>
    <h3>What was decided</h3>
    <${Table} label="Decisions" head=${["until", "at", "decision", "why", "#stable", "#canary", "evidence"]} rows=${rows} />`;
}

/** Evidence is a decimal logarithm: none is 0 and below, and at the threshold the canary goes back. */
function Test({ test }) {
  const percent = Math.max(0, Math.min(100, (100 * Number(test.evidence)) / Number(test.threshold)));
  return html`<li><span>${test.metric.replaceAll("_", " ")}</span>
    <svg viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label=${`${test.evidence} of ${test.threshold}`}><rect class="ground" width="100" height="6" />
      <rect class=${`filled ${test.guilty ? "bad" : ""}`} width=${percent} height="6" /></svg>
    <span class=${test.guilty ? "bad" : ""}>${test.evidence} of ${test.threshold}</span></li>`;
}
