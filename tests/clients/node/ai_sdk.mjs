// Vercel's AI SDK, by its provider for whatever speaks OpenAI's API.
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { embedMany, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { QUESTION, Weather, ended, seconds, tell, text, thrown } from "./facts.mjs";
import { nexus } from "./snippets/ai_sdk.mjs";

const stranger = createOpenAICompatible({ name: "nexus", baseURL: process.env.OPENAI_BASE_URL, apiKey: "wrong" });
const asked = (model, maxRetries = 0) => ({ model: nexus(model), prompt: QUESTION, maxRetries });
let given, broken;
const weather = tool({ inputSchema: Weather, execute: (input) => `${(given = input).city} is warm` });
const silent = { onError: () => {} }; // else it is printed

async function* whole(model) {
  for await (const part of streamText({ ...asked(model), ...silent }).fullStream) {
    if (part.type === "error") {
      broken = part.error.code;
      throw part.error;
    }
    if (part.type === "text-delta") yield part.text;
  }
}

const stepped = await generateText({ ...asked("chat"), tools: { weather }, stopWhen: stepCountIs(2) });
const { object } = await generateObject({ ...asked("chat"), schema: Weather });
const { embeddings } = await embedMany({ model: nexus.textEmbeddingModel("chat"), values: ["warm", "cold"] });
const cut = streamText({ ...asked("cut"), ...silent });

tell({
  stream: await text(() => streamText(asked("chat")).textStream),
  after_tool: stepped.text,
  tool: given,
  typed: object,
  vector: embeddings[1],
  unauthorized: await thrown(() => generateText({ ...asked("chat"), model: stranger("chat") })),
  missing: await thrown(() => generateText(asked("none"))),
  full: await thrown(() => generateText(asked("full"))),
  busy: await seconds(() => generateText(asked("busier", 2))),
  cut: await ended(() => whole("cut")),
  text_stream: await ended(() => cut.textStream),
  broken,
  finish: await cut.finishReason.then(String, (error) => error.constructor.name),
});
