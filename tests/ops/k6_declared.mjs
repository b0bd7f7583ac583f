// Prints what ops/load/declared.js makes of scenarios.json, and what it says of answers.
import { readFileSync } from 'node:fs';

import { body, options, outcome } from '../../ops/load/declared.js';

const declared = JSON.parse(readFileSync(process.argv[2], 'utf-8'));
const made = Object.fromEntries(Object.keys(declared.scenarios).map((name) => [name, options(declared, name)]));
const outcomes = JSON.parse(process.argv[3]).map(([status, text]) => outcome(status, text));
let refused = '';
try {
  options(declared, 'no-such');
} catch (error) {
  refused = error.message;
}
console.log(JSON.stringify({ made, outcomes, refused, body: body(declared, ''), named: body(declared, 'other') }));
