// Vercel's AI SDK: node ai_sdk.mjs MODEL QUESTION; OPENAI_BASE_URL and OPENAI_API_KEY say where and who.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { streamText } from "ai";

const [model, prompt] = process.argv.slice(2);
const { OPENAI_BASE_URL: baseURL, OPENAI_API_KEY: apiKey } = process.env;
const headers = { "x-nexus-session": "example" }; // one release answers a whole session
const nexus = createOpenAICompatible({ name: "nexus", baseURL, apiKey, headers });

const answer = streamText({ model: nexus(model), prompt, maxOutputTokens: 40, onError: () => {} });
for await (const part of answer.fullStream) {
  if (part.type === "error") throw part.error; // textStream would end as if the answer were whole
  if (part.type === "text-delta") process.stdout.write(part.text);
}
console.log();
const said = (await answer.response).headers;
for (const name of ["x-nexus-release", "x-nexus-revision", "x-request-id"]) console.log(`${name}: ${said[name]}`);
