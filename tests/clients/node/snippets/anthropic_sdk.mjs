import Anthropic from "@anthropic-ai/sdk";

export const client = new Anthropic(); // asks ANTHROPIC_BASE_URL with ANTHROPIC_API_KEY
const asked = { model: "chat", max_tokens: 100, messages: [{ role: "user", content: "Where is it warm?" }] };

const { data, response } = await client.messages.create(asked).withResponse();
console.log(data.content[0].text);
console.log(response.headers.get("x-nexus-release"));

for await (const event of client.messages.stream(asked))
  if (event.type === "content_block_delta") process.stdout.write(event.delta.text);
