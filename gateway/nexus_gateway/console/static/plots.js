// Plots: of time by uPlot, of a figure's interval beside its bounds by SVG.
import { Component, createRef } from "./vendor/preact.mjs";
import { html, count } from "./parts.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const LEAST = 10; // seconds that are drawn, while there is one point alone

const clock = (at) => new Date(at * 1000).toTimeString().slice(0, 8);

/** `lines`: [field, label, colour's name]; `told` turns a number into text. */
export class TimePlot extends Component {
  place = createRef();

  componentDidMount() {
    this.draw();
    this.seen = new ResizeObserver(() => this.plot?.setSize(this.size()));
    this.seen.observe(this.place.current);
    this.redraw = () => this.draw();
    dark.addEventListener("change", this.redraw);
  }

  componentDidUpdate() { this.plot?.setData(this.data()); }

  componentWillUnmount() {
    this.seen.disconnect();
    dark.removeEventListener("change", this.redraw);
    this.plot?.destroy();
  }

  size() { return { width: Math.max(120, this.place.current.clientWidth), height: 132 }; }

  data() {
    const { points, lines } = this.props;
    return [points.map((one) => one.at / 1000), ...lines.map(([field]) => points.map((one) => one[field]))];
  }

  draw() {
    this.plot?.destroy();
    const { lines, told } = this.props, faint = colour("--faint"), grid = { stroke: colour("--line"), width: 1 };
    const axis = { stroke: faint, grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
    this.plot = new globalThis.uPlot({
      ...this.size(),
      legend: { show: false },
      cursor: { show: false },
      padding: [8, 22, 0, 0],
      scales: {
        x: { range: ({ data: [at] }) => [Math.min(at[0], at.at(-1) - LEAST), at.at(-1)] }, // uPlot would draw a day
        y: { range: (_, low, high) => [0, high > 0 ? high * 1.15 : 1] },
      },
      axes: [{ ...axis, size: 24, space: 70, values: (_, ticks) => ticks.map(clock) }, { ...axis, size: 54, space: 28, values: (_, ticks) => ticks.map(told) }],
      series: [{}, ...lines.map(([, , name]) => ({ stroke: colour(name), width: 1.6, points: { show: false } }))],
    }, this.data(), this.place.current);
  }

  render({ title, points, lines, told }) {
    const last = points.at(-1) ?? {};
    const said = lines.map(([field, label]) => `${label} ${told(last[field])}`).join(", ");
    return html`<figure class="plot">
      <figcaption><b>${title}</b>${lines.map(([field, label, name]) => html`
        <span><i class=${`key ${name.slice(2)}`}></i>${label} <strong>${told(last[field])}</strong></span>`)}</figcaption>
      <div ref=${this.place} role="img" aria-label=${`${title}, now: ${said}`}></div>
    </figure>`;
  }
}

const WIDE = 320, EDGE = 12;

export function Interval({ figure }) {
  const numbers = ["value", "low", "high", "least", "most"].filter((name) => figure[name] !== "").map((name) => Number(figure[name]));
  const low = Math.min(...numbers), high = Math.max(...numbers);
  const room = (high - low) * 0.08 || Math.abs(high) * 0.08 || 1;
  const at = (number) => EDGE + ((Number(number) - low + room) / (high - low + 2 * room)) * (WIDE - 2 * EDGE);
  const bounds = [["least", "≥"], ["most", "≤"]].filter(([name]) => figure[name] !== "");
  const left = figure.least === "" ? EDGE : at(figure.least), right = figure.most === "" ? WIDE - EDGE : at(figure.most);
  const state = figure.passed ? "good" : "bad";
  const allowed = bounds.map(([name, sign]) => `${sign} ${figure[name]}`).join(", ");
  const said = `${figure.name} ${figure.subject}: ${figure.value}, between ${figure.low} and ${figure.high}; `
    + `${allowed ? `allowed ${allowed}` : "no bound"}; ${figure.passed ? "passed" : "not passed"}`;
  return html`<figure class="interval">
    <figcaption><span>${figure.name}${figure.subject && html` <small>${figure.subject}</small>`}</span>
      <span class=${state}><strong>${figure.value}</strong>${allowed && html` <small>${allowed}</small>`}</span></figcaption>
    <svg viewBox=${`0 0 ${WIDE} 28`} preserveAspectRatio="xMinYMid meet" role="img" aria-label=${said}>
      ${bounds.length > 0 && html`<rect class="allowed" x=${left} y="2" width=${Math.max(0, right - left)} height="20" />`}
      <line class="axis" x1=${EDGE} x2=${WIDE - EDGE} y1="22" y2="22" />
      ${bounds.map(([name]) => html`<line class="bound" x1=${at(figure[name])} x2=${at(figure[name])} y1="0" y2="26" />`)}
      <line class=${`whisker ${state}`} x1=${at(figure.low)} x2=${at(figure.high)} y1="12" y2="12" />
      <circle class=${state} cx=${at(figure.value)} cy="12" r="4.5" />
    </svg>
  </figure>`;
}

