// Asks a model, shows the answer as it comes, and what made it.
import { asked, Refused } from "../asking.js";
import { Ask, Component, count, Empty, Failed, html, Id, seconds } from "../parts.js";

export const Playground = () => html`
  <${Ask} what="the models that the key may use" of=${{ models: "v1/models" }}>${({ models }) => (models.data.length === 0
    ? html`<${Empty} title="No model">The key may use none of the models that are served.<//>`
    : html`<${Chat} models=${models.data.map((one) => one.id)} />`)}<//>`;

class Chat extends Component {
  state = { model: this.props.models[0], turns: [], asking: false, origin: null, error: null, most: 256, heat: 0.7 };

  componentWillUnmount() { this.stopper?.abort(); }

  async ask(event) {
    event.preventDefault();
    const field = event.target.elements.question, content = field.value.trim();
    if (!content || this.state.asking) return;
    field.value = "";
    const turns = [...this.state.turns, { role: "user", content }];
    this.setState({ turns: [...turns, { role: "assistant", content: "", by: this.state.model }], asking: true, error: null, origin: null });
    this.stopper = new AbortController();
    const began = performance.now();
    try {
      await this.stream(turns, began);
    } catch (error) {
      if (error.name !== "AbortError") this.setState({ error: error instanceof Refused ? error : new Refused(0, "stream_broken", "The answer broke off.") });
    }
    this.setState((state) => ({ asking: false, turns: state.turns.filter((one) => one.content || one.role === "user"), origin: state.origin && { ...state.origin, whole: (performance.now() - began) / 1000 } }));
  }

  async stream(messages, began) {
    const { model, most, heat } = this.state;
    const sent = messages.map(({ role, content }) => ({ role, content }));
    const body = JSON.stringify({ model, messages: sent, stream: true, max_tokens: most, temperature: heat, stream_options: { include_usage: true } });
    const answer = await asked("v1/chat/completions", { method: "POST", headers: { "content-type": "application/json" }, body, signal: this.stopper.signal });
    this.setState({ origin: { headers: answer.headers, usage: null, first: null, whole: null } });
    let rest = "";
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      const events = (rest + next.value).split(/\r?\n\r?\n/);
      rest = events.pop();
      for (const event of events) this.hear(event, began);
    }
  }

  hear(event, began) {
    const data = event.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim()).join("\n");
    if (!data || data === "[DONE]") return;
    const said = JSON.parse(data);
    if (said.error) throw new Refused(0, said.error.code, said.error.message);
    const piece = said.choices?.[0]?.delta?.content ?? "";
    this.setState((state) => {
      const last = state.turns.at(-1);
      return {
        turns: [...state.turns.slice(0, -1), { ...last, content: last.content + piece }],
        origin: { ...state.origin, usage: said.usage ?? state.origin.usage, first: state.origin.first ?? (performance.now() - began) / 1000 },
      };
    });
  }

  render({ models }, { model, turns, asking, origin, error, most, heat }) {
    return html`<div class="split">
      <div>
        <div class="turns" role="log" aria-label="Conversation" aria-busy=${asking} tabindex="0">
          ${turns.length === 0 ? html`<p class="note">What is asked here is a request like any other: it counts against the key's limits, is logged, and costs what it costs.</p>`
            : turns.map((one) => html`<div class=${`turn ${one.role}`}><b>${one.by ?? "you"}</b><p>${one.content || "…"}</p></div>`)}
        </div>
        ${error && html`<${Failed} error=${error} />`}
        <form class="ask" onSubmit=${(event) => this.ask(event)}>
          <label for="question">Message</label>
          <textarea id="question" name="question" rows="3" onKeyDown=${(event) => { if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) event.target.form.requestSubmit(); }}></textarea>
          <div class="fields">
            <label>Model <select value=${model} onChange=${(event) => this.setState({ model: event.target.value })}>${models.map((one) => html`<option selected=${one === model}>${one}</option>`)}</select></label>
            <label>Most tokens <input type="number" min="1" max="32768" value=${most} onInput=${(event) => this.setState({ most: Number(event.target.value) })} /></label>
            <label>Temperature <input type="number" min="0" max="2" step="0.1" value=${heat} onInput=${(event) => this.setState({ heat: Number(event.target.value) })} /></label>
            <span class="grow"></span>
            ${turns.length > 0 && !asking && html`<button type="button" class="quiet" onClick=${() => this.setState({ turns: [], origin: null, error: null })}>Begin anew</button>`}
            ${asking ? html`<button type="button" onClick=${() => this.stopper.abort()}>Stop</button>` : html`<button>Send</button>`}
          </div>
        </form>
      </div>
      <${Origin} origin=${origin} />
    </div>`;
  }
}

function Origin({ origin }) {
  const header = (name) => origin?.headers.get(name);
  const release = header("x-nexus-release"), revision = header("x-nexus-revision"), instead = header("x-fallback-model");
  const left = ["requests", "tokens"].filter((kind) => header(`x-ratelimit-limit-${kind}`));
  return html`<aside class="card" aria-label="What made the answer">
    <h2>What made the answer</h2>
    ${!origin ? html`<p class="note">Its revision, route and release, once there is one.</p>` : html`<dl class="pairs one">
      <${Pair} name="revision">${revision ? html`<${Id} of=${revision} length=${16} />` : "–"}<//>
      <${Pair} name="route">${header("x-nexus-route") ?? "–"}<//>
      <${Pair} name="release">${release ? html`<a href=${`#/releases/${release}`}><${Id} of=${release} length=${16} /></a>` : "–"}<//>
      ${instead && html`<${Pair} name="answered instead">${instead}<//>`}
      <${Pair} name="request id"><code class="id">${header("x-request-id")}</code><//>
      <${Pair} name="trace id"><code class="id">${header("x-trace-id")}</code><//>
      <${Pair} name="first token">${seconds(origin.first)}<//>
      <${Pair} name="whole answer">${seconds(origin.whole)}<//>
      <${Pair} name="tokens">${origin.usage ? `${count(origin.usage.prompt_tokens)} + ${count(origin.usage.completion_tokens)}` : "–"}<//>
      ${left.map((kind) => html`<${Pair} name=${`${kind} left`}>${header(`x-ratelimit-remaining-${kind}`)} of ${header(`x-ratelimit-limit-${kind}`)}<//>`)}
    </dl>`}
  </aside>`;
}

const Pair = ({ name, children }) => html`<div><dt>${name}</dt><dd>${children}</dd></div>`;
