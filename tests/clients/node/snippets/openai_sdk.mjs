import OpenAI from "openai";

export const client = new OpenAI(); // asks OPENAI_BASE_URL with OPENAI_API_KEY
const messages = [{ role: "user", content: "Where is it warm?" }];

const { data, response } = await client.chat.completions.create({ model: "chat", messages }).withResponse();
console.log(data.choices[0].message.content);
console.log(response.headers.get("x-nexus-release"));

const stream = await client.chat.completions.create({ model: "chat", messages, stream: true });
for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta?.content ?? "");
