// One request by k6, and what is counted of it. In milliseconds are answers alone: a refusal is quick.
import http from 'k6/http';
import { Rate, Trend } from 'k6/metrics';

import { body, options, outcome } from './declared.js';

/** @type {import('./declared.js').Declared} */
const declared = JSON.parse(open('./scenarios.json'));
const url = `${__ENV.URL || 'http://127.0.0.1:8000'}/v1/chat/completions`;
const request = body(declared, __ENV.MODEL);
const params = {
  headers: { authorization: `Bearer ${__ENV.KEY || 'dev-key'}`, 'content-type': 'application/json' },
  timeout: '120s',
};

const failed = new Rate('failed');
const refused = new Rate('refused');
const first = new Trend('first_ms', true);
const whole = new Trend('whole_ms', true);

export const optionsOf = (/** @type {string} */ name) => options(declared, name);

export default function ask() {
  const answer = http.post(url, request, params);
  const became = outcome(answer.status, String(answer.body));
  failed.add(became === 'failed');
  refused.add(became === 'refused');
  if (became === 'answered') {
    first.add(answer.timings.waiting);
    whole.add(answer.timings.duration);
  }
}
