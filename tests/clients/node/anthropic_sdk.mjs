// Anthropic's SDK.
import { z } from "zod";
import { CHAT, Weather, ended, seconds, tell, text, thrown } from "./facts.mjs";
import { client } from "./snippets/anthropic_sdk.mjs";

const once = client.withOptions({ maxRetries: 0 });
const tools = [{ name: "weather", input_schema: z.toJSONSchema(Weather) }];
const asked = (model) => ({ model, max_tokens: 100, messages: CHAT });

async function* stream(model) {
  for await (const event of once.messages.stream(asked(model)))
    if (event.type === "content_block_delta") yield event.delta.text;
}

const ask = (model, by = once) => by.messages.create(asked(model));
const called = await once.messages.create({ ...asked("chat"), tools });
const streamed = await once.messages.stream({ ...asked("chat"), tools }).finalMessage();
const typed = await once.messages.create({
  ...asked("chat"),
  output_config: { format: { type: "json_schema", schema: z.toJSONSchema(Weather) } },
});

tell({
  stream: await text(() => stream("chat")),
  tool: called.content[0].input,
  streamed_tool: streamed.content[0].input,
  typed: typed.content[0].text,
  tokens: (await once.messages.countTokens({ model: "chat", messages: CHAT })).input_tokens,
  unauthorized: await thrown(() => ask("chat", once.withOptions({ apiKey: "wrong" }))),
  missing: await thrown(() => ask("none")),
  full: await thrown(() => ask("full")),
  busy: await seconds(() => ask("busy", client)),
  cut: await ended(() => stream("cut")),
});
