// What a client has found out, as one JSON object on the last line, for the test that started it.
import { z } from "zod";

export const QUESTION = "Where is it warm?";
export const CHAT = [{ role: "user", content: QUESTION }];
export const Weather = z.object({ city: z.string(), celsius: z.number() });

/** The class of what `call` throws. */
export async function thrown(call) {
  try {
    await call();
  } catch (error) {
    return error.constructor.name;
  }
  return "nothing";
}

/** What came of a stream, and the class of what it ended with. */
export async function ended(stream) {
  const came = [];
  const by = await thrown(async () => {
    for await (const piece of await stream()) came.push(piece ?? "");
  });
  return [came.join(""), by];
}

export async function text(stream) {
  const [came, by] = await ended(stream);
  if (by !== "nothing") throw new Error(`the stream ended with ${by}`);
  return came;
}

export async function seconds(call) {
  const start = performance.now();
  await call();
  return (performance.now() - start) / 1000;
}

export function tell(facts) {
  console.log(`\n${JSON.stringify(facts)}`);
}
