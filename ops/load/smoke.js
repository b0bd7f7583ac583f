// k6 run -e URL=http://127.0.0.1:8000 -e KEY=dev-key ops/load/smoke.js
import ask, { optionsOf } from './ask.js';

export const options = optionsOf('smoke');
export default ask;
