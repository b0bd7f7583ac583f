// What scenarios.json declares, as k6 wants it. Nothing here needs k6, so a test runs it by Node.

/**
 * @typedef {object} Thresholds
 * @property {number} failed share of the requests that may get no whole answer, 0 to 1
 * @property {number} refused share that may be told to come later (429, 503)
 * @property {number} dropped how many may not be sent for want of room at the generator
 * @property {Record<string, number>} [first_ms] percentile (`p95`) -> milliseconds to the first byte
 * @property {Record<string, number>} [whole_ms] the same to the end of the answer
 *
 * @typedef {object} Phase
 * @property {string} name
 * @property {number} seconds
 * @property {number} from requests a second at its beginning
 * @property {number} to and at its end
 * @property {Thresholds} thresholds
 *
 * @typedef {object} Scenario
 * @property {string} about
 * @property {number} at_once most requests under way
 * @property {Phase[]} phases one after another
 *
 * @typedef {object} Declared
 * @property {{model: string, prompt: string, max_tokens: number}} request
 * @property {Record<string, Scenario>} scenarios
 */

/**
 * k6's options: each phase is a scenario of k6's, so that each can have thresholds of its own.
 *
 * @param {Declared} declared
 * @param {string} name
 */
export function options(declared, name) {
  const scenario = declared.scenarios[name];
  if (scenario === undefined) {
    throw new Error(`${name} is no scenario: take one of ${Object.keys(declared.scenarios).join(', ')}`);
  }
  return { scenarios: executors(scenario), thresholds: thresholds(scenario.phases) };
}

/**
 * Requests come when they come, whether or not those before them are answered.
 *
 * @param {Scenario} scenario
 */
function executors(scenario) {
  /** @type {Record<string, import('k6/options').RampingArrivalRateScenario>} */
  const found = {};
  let start = 0;
  for (const phase of scenario.phases) {
    found[phase.name] = {
      executor: 'ramping-arrival-rate',
      startTime: `${start}s`,
      startRate: phase.from,
      timeUnit: '1s',
      preAllocatedVUs: scenario.at_once,
      maxVUs: scenario.at_once,
      stages: [{ target: phase.to, duration: `${phase.seconds}s` }],
    };
    start += phase.seconds;
  }
  return found;
}

/** @param {Phase[]} phases */
function thresholds(phases) {
  /** @type {Record<string, string[]>} */
  const found = {};
  for (const { name, thresholds: most } of phases) {
    const of = (/** @type {string} */ metric) => `${metric}{scenario:${name}}`;
    found[of('failed')] = [`rate<=${most.failed}`];
    found[of('refused')] = [`rate<=${most.refused}`];
    found[of('dropped_iterations')] = [`count<=${most.dropped}`];
    if (most.first_ms !== undefined) found[of('first_ms')] = percentiles(most.first_ms);
    if (most.whole_ms !== undefined) found[of('whole_ms')] = percentiles(most.whole_ms);
  }
  return found;
}

/** @param {Record<string, number>} most */
function percentiles(most) {
  return Object.entries(most).map(([name, milliseconds]) => `p(${name.slice(1)})<=${milliseconds}`);
}

/**
 * What is asked, as JSON.
 *
 * @param {Declared} declared
 * @param {string | undefined} model the declared one where none is named
 */
export function body(declared, model) {
  const { prompt, max_tokens } = declared.request;
  return JSON.stringify({
    model: model || declared.request.model,
    messages: [{ role: 'user', content: prompt }],
    max_tokens,
    stream: true,
    stream_options: { include_usage: true },
    temperature: 0,
  });
}

/**
 * What became of a request: a stream without its end mark is no answer.
 *
 * @param {number} status 0 where nothing came
 * @param {string} text
 * @returns {'answered' | 'refused' | 'failed'}
 */
export function outcome(status, text) {
  if (status === 429 || status === 503) return 'refused';
  return status === 200 && text.includes('data: [DONE]') ? 'answered' : 'failed';
}
