// The page: who looks, where they look, and what they see.
import { Component, createRef, render } from "./vendor/preact.mjs";
import { json, take } from "./asking.js";
import { Failed, html, Id } from "./parts.js";
import { begin, end } from "./watching.js";
import { Live } from "./views/live.js";
import { Routes } from "./views/routes.js";
import { Releases } from "./views/releases.js";
import { Canaries } from "./views/canaries.js";
import { Playground } from "./views/playground.js";
import { Explain } from "./views/explain.js";
import { Limits } from "./views/limits.js";

const VIEWS = [
  ["live", "Live", Live],
  ["routes", "Routes", Routes],
  ["releases", "Releases", Releases],
  ["canaries", "Canaries", Canaries],
  ["playground", "Playground", Playground],
  ["explain", "Explain", Explain],
  ["limits", "Limits", Limits],
];

/** `#/releases/<id>` -> ["releases", "<id>"]. */
const place = () => location.hash.replace(/^#\/?/, "").split("/");

class Console extends Component {
  state = { key: false, at: place(), revision: "" };
  main = createRef();

  componentDidMount() {
    addEventListener("hashchange", () => {
      this.setState({ at: place() }, () => this.arrive());
    });
  }

  opened(who) {
    begin(who);
    this.setState({ key: true }, () => this.arrive());
    this.look();
  }

  /** Whoever reads by ear or by keyboard begins where the view begins. */
  arrive() {
    this.main.current?.focus({ preventScroll: true });
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }); // on a phone
    scrollTo(0, 0);
  }

  /** The revision that new requests are decided by, which anybody may know. */
  async look() {
    const found = await json("ready").catch(() => null);
    if (!this.state.key) return;
    if (found) this.setState({ revision: found.revision });
    this.timer = setTimeout(() => this.look(), 5000);
  }

  close() {
    take("");
    end();
    clearTimeout(this.timer);
    this.setState({ key: false, revision: "" });
  }

  render(_, { key, at, revision }) {
    if (!key) return html`<${KeyForm} opened=${(who) => this.opened(who)} />`;
    const [name, label, View] = VIEWS.find(([one]) => one === at[0]) ?? VIEWS[0];
    document.title = `${label} · Nexus console`;
    return html`
      <header>
        <a class="skip" href=${`#/${at.join("/")}`} onClick=${() => this.main.current.focus()}>Skip to the view</a>
        <a class="brand" href="#/live"><${Mark} />Nexus</a>
        <nav aria-label="Views">${VIEWS.map(([one, text]) => html`
          <a href=${`#/${one}`} aria-current=${one === name ? "page" : null}>${text}</a>`)}</nav>
        <div class="served">${revision && html`<span><small>revision</small> <${Id} of=${revision} /></span>`}
          <button class="quiet" onClick=${() => this.close()}>Forget key</button></div>
      </header>
      <main ref=${this.main} tabindex="-1" key=${name}><h1>${label}</h1><${View} rest=${at.slice(1)} /></main>`;
  }
}

const Mark = () => html`<svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="7" /><path d="M9 23V9l14 14V9" /></svg>`;

class KeyForm extends Component {
  state = { error: null, asking: false };
  field = createRef();

  async open(event) {
    event.preventDefault();
    const given = this.field.current.value.trim();
    if (!/^[!-~]+$/.test(given)) return this.setState({ error: new Error("A key is one line of letters, digits and signs.") });
    take(given);
    this.setState({ asking: true, error: null });
    try {
      this.props.opened(await known());
    } catch (error) {
      take("");
      this.setState({ error, asking: false });
    }
  }

  render({}, { error, asking }) {
    document.title = "Nexus console";
    return html`<main class="door">
      <form onSubmit=${(event) => this.open(event)} autocomplete="off">
        <h1><${Mark} />Nexus console</h1>
        <p>What this gateway serves, and how it goes. Nothing is shown without a key, and nothing is changed with one.</p>
        <label for="key">API key or token</label>
        <input id="key" type="password" ref=${this.field} autocomplete="off" spellcheck="false" autocapitalize="off" required />
        <button disabled=${asking}>${asking ? "Asking …" : "Open"}</button>
        <p class="note">The key stays in this page's memory: a reload forgets it. Routes, releases, prices and other tenants want the scope <code>admin</code>.</p>
        ${error && (error.code ? html`<${Failed} error=${error} />` : html`<p class="told bad" role="alert">${error.message}</p>`)}
      </form>
    </main>`;
  }
}

/** Whose key it is, and whether it is one. On a port for operators alone there are no limits to ask for. */
async function known() {
  try {
    const { tenant, admin } = await json("v1/limits");
    return { tenant, admin };
  } catch (error) {
    if (error.code !== "page_not_found") throw error;
    await json("admin/config");
    return { tenant: null, admin: true };
  }
}

render(html`<${Console} />`, document.getElementById("console"));
