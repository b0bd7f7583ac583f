// What all views are made of.
import { Component, h } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";
import { json } from "./asking.js";

export { Component };
export const html = htm.bind(h);

const WHY = {
  missing_scope: "This view wants a key with the scope admin.",
  page_not_found: "This port does not have what the view asks for. Where operators have a port of their own (--admin-port), "
    + "routes and releases are there, and the playground is on the public one.",
};

/** `again`: whoever shows it asks again by itself. */
export const Failed = ({ error, again = false }) => html`
  <div class="told bad" role="alert">
    <b>${error.message}</b>
    <p>${WHY[error.code] ?? (again && "It is asked again by itself.")} <code>${error.code}</code></p>
  </div>`;

export const Loading = ({ what }) => html`
  <div class="told" role="status"><span class="bones"></span><span class="bones short"></span><p>Asking for ${what} …</p></div>`;

export const Empty = ({ title, children }) => html`<div class="told"><b>${title}</b><p>${children}</p></div>`;

const AGAIN = 5000; // milliseconds after a failure, where nothing is asked again otherwise

/** Asks for documents, again every so many milliseconds, and shows what comes of it. What was found stays while a later
 * answer fails, under the failure. */
export class Ask extends Component {
  state = { found: null, error: null };

  componentDidMount() { this.ask(); }

  componentWillUnmount() {
    this.gone = true;
    clearTimeout(this.timer);
  }

  async ask() {
    const { of, every } = this.props;
    let wait = every;
    try {
      const pairs = Object.entries(of).map(async ([name, path]) => [name, await json(path)]);
      const found = Object.fromEntries(await Promise.all(pairs));
      if (!this.gone) this.setState({ found, error: null });
    } catch (error) {
      wait ??= AGAIN;
      if (!this.gone) this.setState({ error });
    }
    if (wait && !this.gone) this.timer = setTimeout(() => this.ask(), wait);
  }

  render({ what, children }, { found, error }) {
    return html`
      ${error && html`<${Failed} error=${error} again />`}
      ${found ? children(found) : !error && html`<${Loading} what=${what} />`}`;
  }
}

export const Id = ({ of, length = 12 }) => {
  const bare = of.replace(/^sha256:/, "");
  return html`<code class="id" title=${of}>${bare.slice(0, length)}</code>`;
};

export const Badge = ({ kind = "", children }) => html`<span class=${`badge ${kind}`}>${children}</span>`;

/** `head`: the columns' names; those that begin with "#" are numbers. On a phone each row becomes a block of its own, for
 * which its parts say themselves what they are. */
export const Table = ({ head, rows, label }) => html`
  <div class="wide" tabindex="0" role="region" aria-label=${label}>
    <table role="table" aria-label=${label}>
      <thead role="rowgroup"><tr role="row">${head.map((name) => html`
        <th scope="col" role="columnheader" class=${name[0] === "#" ? "number" : ""}>${name.replace("#", "")}</th>`)}</tr></thead>
      <tbody role="rowgroup">${rows.map((cells) => html`<tr role="row">${cells.map((cell, at) => (at === 0
        ? html`<th scope="row" role="rowheader">${cell}</th>`
        : html`<td role="cell" data-of=${head[at].replace("#", "")} class=${head[at][0] === "#" ? "number" : ""}>${cell}</td>`))}</tr>`)}</tbody>
    </table>
  </div>`;

export const Share = ({ percent, kind = "" }) => html`
  <span class="share"><svg viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true">
    <rect class="ground" width="100" height="6" /><rect class=${`filled ${kind}`} width=${Math.max(0, Math.min(100, percent))} height="6" />
  </svg><span>${count(percent)} %</span></span>`;

export function count(number) {
  if (number === null || number === undefined || Number.isNaN(number)) return "–";
  if (number !== 0 && Math.abs(number) < 0.01) return number.toPrecision(2);
  return number.toLocaleString("en", { maximumFractionDigits: Math.abs(number) < 10 ? 2 : Math.abs(number) < 100 ? 1 : 0 });
}

export function seconds(number) {
  if (number === null || number === undefined || Number.isNaN(number)) return "–";
  return number < 1 ? `${count(number * 1000)} ms` : `${count(number)} s`;
}

export const moment = (text_) => text_.replace("T", " ").replace(/(:\d\d)?(\.\d+)?Z$/, " UTC");
