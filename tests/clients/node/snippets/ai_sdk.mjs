import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText } from "ai";

const { OPENAI_BASE_URL: baseURL, OPENAI_API_KEY: apiKey } = process.env;
export const nexus = createOpenAICompatible({ name: "nexus", baseURL, apiKey, supportsStructuredOutputs: true });

const answer = await generateText({ model: nexus("chat"), prompt: "Where is it warm?" });
console.log(answer.text);
console.log(answer.response.headers["x-nexus-release"]);

const stream = streamText({ model: nexus("chat"), prompt: "Where is it warm?" });
for await (const text of stream.textStream) process.stdout.write(text);
