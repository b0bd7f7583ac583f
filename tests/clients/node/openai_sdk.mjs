// OpenAI's SDK.
import { zodFunction, zodResponseFormat } from "openai/helpers/zod";
import { CHAT, QUESTION, Weather, ended, seconds, tell, text, thrown } from "./facts.mjs";
import { client } from "./snippets/openai_sdk.mjs";

const once = client.withOptions({ maxRetries: 0 });
const tools = [zodFunction({ name: "weather", parameters: Weather })];

async function* chat(model) {
  const chunks = await once.chat.completions.create({ model, messages: CHAT, stream: true });
  for await (const chunk of chunks) yield chunk.choices[0]?.delta?.content;
}

async function* completion(model) {
  for await (const chunk of await once.completions.create({ model, prompt: QUESTION, stream: true }))
    yield chunk.choices[0]?.text;
}

async function* response(model) {
  for await (const event of await once.responses.create({ model, input: QUESTION, stream: true }))
    if (event.type === "response.output_text.delta") yield event.delta;
}

const ask = (model, by = once) => by.chat.completions.create({ model, messages: CHAT });
const called = await once.chat.completions.create({ model: "chat", messages: CHAT, tools });
const streamed = once.chat.completions.stream({ model: "chat", messages: CHAT, tools });
const format = zodResponseFormat(Weather, "weather");
const typed = await once.chat.completions.parse({ model: "chat", messages: CHAT, response_format: format });
const embedded = await once.embeddings.create({ model: "chat", input: ["warm", "cold"] });

tell({
  stream: await text(() => chat("chat")),
  completion: (await once.completions.create({ model: "chat", prompt: QUESTION })).choices[0].text,
  response: (await once.responses.create({ model: "chat", input: QUESTION })).output_text,
  response_stream: await text(() => response("chat")),
  tool: called.choices[0].message.tool_calls[0].function.arguments,
  streamed_tool: (await streamed.finalChatCompletion()).choices[0].message.tool_calls[0].function.arguments,
  typed: typed.choices[0].message.parsed,
  vector: embedded.data[1].embedding,
  unauthorized: await thrown(() => ask("chat", once.withOptions({ apiKey: "wrong" }))),
  missing: await thrown(() => ask("none")),
  full: await thrown(() => ask("full")),
  busy: await seconds(() => ask("busy", client)),
  cut: await ended(() => chat("cut")),
  cut_completion: await ended(() => completion("cut")),
  cut_response: await ended(() => response("cut")),
});
