// What would be decided about a request, and why: nexus-gateway explain, on the routes that are served.
import { json } from "../asking.js";
import { Component, Empty, Failed, html, Id, Loading, Table } from "../parts.js";

const BETWEEN = { open: ",", header: "\n" }; // a header's value may have commas
const APIS = ["chat", "completions", "embeddings", "responses", "messages", "rerank"];

export class Explain extends Component {
  state = { models: [], found: null, error: null, asking: false, closed: false };

  componentDidMount() {
    const failed = (error) => this.setState({ error, closed: error.code === "missing_scope" || error.code === "page_not_found" });
    json("admin/config").then(({ routes }) => this.setState({ models: routes }), failed);
  }

  async ask(event) {
    event.preventDefault();
    const query = new URLSearchParams();
    for (const [name, value] of new FormData(event.target)) {
      const parts = name in BETWEEN ? value.split(BETWEEN[name]) : [value];
      for (const one of parts) if (one.trim()) query.append(name, one.trim());
    }
    this.setState({ asking: true, error: null });
    try {
      this.setState({ found: await json(`admin/explain?${query}`), asking: false });
    } catch (error) {
      this.setState({ error, found: null, asking: false });
    }
  }

  render(_, { models, found, error, asking, closed }) {
    if (closed) return html`<${Failed} error=${error} />`; // to whatever is asked
    return html`<div class="split">
      <form class="card fields tall" onSubmit=${(event) => this.ask(event)} autocomplete="off">
        <h2>A request</h2>
        <${Field} name="model" label="Model" list="models" required /><datalist id="models">${models.map((one) => html`<option value=${one} />`)}</datalist>
        <${Field} name="key" label="Key id or tenant" hint="not the key itself" />
        <${Field} name="subject" label="Subject of a token" hint="instead of a key" />
        <label>API <select name="api">${APIS.map((one) => html`<option>${one}</option>`)}</select></label>
        <${Field} name="session" label="Session" hint="x-nexus-session" />
        <label>Headers <small>name=value, one a line</small><textarea name="header" rows="2" autocomplete="off" spellcheck="false"></textarea></label>
        <${Field} name="max_tokens" label="Most tokens" type="number" min="0" />
        <${Field} name="open" label="Upstreams that have failed" hint="name, or *" />
        <button disabled=${asking}>Explain</button>
      </form>
      <div aria-live="polite">
        ${error && html`<${Failed} error=${error} />`}
        ${asking && html`<${Loading} what="the decision" />`}
        ${found ? html`<${Told} found=${found} />` : !error && !asking && html`<${Empty} title="Nothing asked yet">The request is decided by the functions that decide about real ones, and sent to nobody.<//>`}
      </div>
    </div>`;
  }
}

const Field = ({ label, hint, ...rest }) => html`<label>${label}${hint && html` <small>${hint}</small>`}<input ...${rest} autocomplete="off" /></label>`;

function Told({ found: { told, lines } }) {
  return html`
    ${told.refused
      ? html`<div class="told bad"><b>${told.refused}</b><p>${told.because}</p></div>`
      : html`<div class="told good"><b>${told.route}: ${told.because}</b><p>by ${told.policy_from ?? "no policy: nothing is limited"}</p></div>
        <${Table} label="Who is asked, in this order" head=${["asked", "upstream", "release", "route", "endpoints"]} rows=${told.asked_in_order.map((one, at) => [
          at + 1, one.upstream, one.release ? html`<a href=${`#/releases/${one.release}`}><${Id} of=${one.release} /></a>` : "–", one.route, html`<code class="clip" title=${one.endpoints.join(", ")}>${one.endpoints.join(", ")}</code>`])} />`}
    <h2>As the command tells it</h2>
    <pre tabindex="0">${lines.join("\n")}</pre>`;
}
