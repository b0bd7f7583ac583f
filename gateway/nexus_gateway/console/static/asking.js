// What is asked of the gateway, by the key that was given. The key is in this variable and nowhere else: no cookie, no
// storage, no address.
let key = "";

export class Refused extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export const take = (given) => { key = given; };

/** The answer itself, for who reads its headers or its stream. Throws Refused for any status but 200. */
export async function asked(path, options = {}) {
  const headers = { ...(options.headers || {}), ...(key ? { authorization: `Bearer ${key}` } : {}) };
  let answer;
  try {
    answer = await fetch(path, { ...options, headers, credentials: "omit", cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "no_answer", "The gateway does not answer.");
  }
  if (answer.ok) return answer;
  const told = await answer.json().then((body) => body.error, () => null);
  throw new Refused(answer.status, told?.code ?? "unknown", told?.message ?? `status ${answer.status}`);
}

export const json = async (path) => (await asked(path)).json();
export const text = async (path) => (await asked(path)).text();
