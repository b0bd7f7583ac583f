// Who the key is, and what is left of its limits.
import { Ask, count, html, Share } from "../parts.js";

export const Limits = () => html`
  <${Ask} what="the key's limits" of=${{ key: "v1/limits", models: "v1/models" }} every=${3000}>${({ key, models }) => html`
    <p class="lead">Key <b>${key.key_id}</b>, as tenant <b>${key.tenant}</b>${key.admin && ", with the scope admin"}; ${key.policy ? html`by <code>${key.policy}</code>` : "no policy holds for it"}.</p>
    <div class="gauges">
      <${Gauge} name="Requests a minute" most=${key.limits.requests} left=${key.left.requests} />
      <${Gauge} name="Tokens a minute" most=${key.limits.tokens} left=${key.left.tokens} />
      <section class="card"><h2>At once</h2><p class="big">${key.limits.parallel === null ? "not limited" : count(key.limits.parallel)}</p><p class="facts">in each gateway process</p></section>
    </div>
    <section class="card"><h2>Models</h2><p class="facts">${models.data.length === 0 ? "none of those that are served" : models.data.map((one) => one.id).join(", ")}</p></section>`}<//>`;

function Gauge({ name, most, left }) {
  if (most === null) return html`<section class="card"><h2>${name}</h2><p class="big">not limited</p></section>`;
  if (left === null) return html`<section class="card"><h2>${name}</h2><p class="big">of ${count(most)}</p><p class="facts">what is left is not known: limits are counted in Redis, which does not answer</p></section>`;
  const percent = (100 * left.remaining) / left.limit;
  return html`<section class="card"><h2>${name}</h2>
    <p class="big">${count(left.remaining)} <small>of ${count(left.limit)} left</small></p>
    <${Share} percent=${percent} kind=${percent < 10 ? "bad" : percent < 30 ? "warn" : "good"} />
    <p class="facts">${left.reset === 0 ? "all of it is free" : `all of it is free again in ${left.reset} s`}</p>
  </section>`;
}
