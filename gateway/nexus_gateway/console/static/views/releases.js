// Releases with what they came from and where they are.
import { json } from "../asking.js";
import { Ask, Badge, Component, count, Empty, html, Id, moment, Table } from "../parts.js";
import { Interval } from "../plots.js";

const GATES = ["data", "fit", "artifact", "quality"];
const FIRST = 24; // figures of a gate that are shown before somebody asks for all

export const Releases = ({ rest }) => (rest[0]
  ? html`<${Ask} key=${rest[0]} what="the release" of=${{ release: `admin/releases/${rest[0]}` }}>${({ release }) => html`<${Release} release=${release} />`}<//>`
  : html`<${Ask} what="releases" of=${{ told: "admin/releases" }} every=${10000}>${({ told }) => html`<${List} told=${told} />`}<//>`);

function List({ told }) {
  if (told.problem) {
    return html`<${Empty} title="The gateway sees no checkout">${told.problem}. With a checkout of the repository, or a mount of it, read only, releases are listed here with their evidence.<//>`;
  }
  if (told.releases.length === 0) return html`<${Empty} title="No release yet">gitops/releases/ has no record. <code>nexus release run</code> makes one.<//>`;
  const rows = told.releases.map((one) => [
    html`<a href=${`#/releases/${one.release}`}><${Id} of=${one.release} /></a>`, one.model, moment(one.time),
    html`<span class="badges">${GATES.filter((gate) => gate in one.verdicts).map((gate) => html`<${Badge} kind=${one.verdicts[gate] ? "good" : "bad"}>${gate}<//>`)}</span>`,
    html`<${Places} of=${one} />`, one.recipe["quantize.scheme"] ?? "–", html`<${Id} of=${one.dataset.digest} length=${8} />`,
  ]);
  return html`<p class="lead">The newest first. That a record is sound is proved by <code>nexus verify --all</code>.</p>
    <${Table} label="Releases" head=${["release", "model", "made", "gates", "where", "scheme", "dataset"]} rows=${rows} />`;
}

const ROLE = { stable: "good", canary: "warn", retained: "" };
const Places = ({ of }) => (of.places.length === 0 ? "nowhere" : html`<span class="badges">${of.places.map((one) => html`
  <${Badge} kind=${ROLE[one.role]}>${one.environment}: ${one.role}${one.weight !== null && ` ${one.weight} %`}<//>`)}</span>`);

class Release extends Component {
  state = { serving: null };

  componentDidMount() {
    json("admin/routes").then(({ routes, upstreams }) => {
      const named = Object.entries(upstreams).filter(([, one]) => one.release === this.props.release.release);
      this.setState({ serving: named.map(([name, one]) => ({ name, one, share: routes.flatMap((route) => route.targets).find((target) => target.upstream === name)?.percent })) });
    }, (error) => this.setState({ serving: [], error }));
  }

  render({ release }, { serving, error }) {
    return html`
      <p class="lead"><a href="#/releases">All releases</a> · <b>${release.model}</b> · <${Id} of=${release.release} length=${64} /></p>
      <ol class="chain" aria-label="What it came from and where it is">
        <${Link} name="dataset"><${Id} of=${release.dataset.digest} /><small>${count(release.dataset.rows)} rows</small><//>
        <${Link} name="model"><${Id} of=${release.artifact.digest} /><small>${bytes(release.artifact.bytes)}, ${release.recipe["quantize.scheme"] ?? "as trained"}, from ${release.base_source}</small><small>${release.registry}</small><//>
        <${Link} name="commit"><${Id} of=${release.commit} /><small>proposed on it, ${moment(release.time)}</small><small><${Places} of=${release} /></small><//>
        <${Link} name="endpoint">${serving === null ? "…" : serving.length === 0 ? html`<span>${error ? `not known: ${error.message}` : "not served here"}</span>` : serving.map(({ name, one, share }) => html`
          <code>${name}</code><small>${share === undefined ? "no traffic" : `${count(share)} % of the traffic`} · ${one.endpoints.map((each) => each.url).join(", ")}</small>`)}<//>
      </ol>
      <div class="gates">${release.gates.map((gate) => html`<${Gate} key=${gate.gate} gate=${gate} />`)}</div>
      <section class="card"><h2>Recipe</h2><dl class="pairs">${Object.entries(release.recipe).map(([name, value]) => html`<div><dt>${name}</dt><dd><code>${value}</code></dd></div>`)}</dl></section>`;
  }
}

const Link = ({ name, children }) => html`<li><b>${name}</b>${children}</li>`;

class Gate extends Component {
  render({ gate }, { all }) {
    const shown = all ? gate.figures : gate.figures.slice(0, FIRST);
    return html`<section class="card">
      <h2>${gate.gate} <${Badge} kind=${gate.accepted ? "good" : "bad"}>${gate.accepted ? "accepted" : "refused"}<//></h2>
      <p class="facts">${gate.reason}</p>
      <div class="intervals">${shown.map((figure) => html`<${Interval} figure=${figure} />`)}</div>
      ${shown.length < gate.figures.length && html`<button class="quiet" onClick=${() => this.setState({ all: true })}>Show all ${gate.figures.length} figures</button>`}
    </section>`;
  }
}

function bytes(number) {
  const at = Math.min(4, Math.max(0, Math.floor(Math.log2(Math.max(1, number)) / 10)));
  return `${count(number / 1024 ** at)} ${["B", "KiB", "MiB", "GiB", "TiB"][at]}`;
}
