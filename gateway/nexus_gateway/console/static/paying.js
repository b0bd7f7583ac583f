// What the environment pays, and which engines it pays for: of the revision that is served, asked for when that has changed.
import { json } from "./asking.js";

export const paying = { prices: null, upstreams: null };
let asking = false, priced = null;

export function forget() {
  Object.assign(paying, { prices: null, upstreams: null });
  priced = null;
}

/** Asks again where it has failed, but for keys and ports that are told nothing of it. */
export async function price(figures) {
  const served = (figures.get("gateway_config_info") ?? []).map(([{ revision }]) => revision).join();
  if (asking || priced === served) return;
  asking = true;
  try {
    const [{ prices }, { upstreams }] = await Promise.all([json("admin/prices"), json("admin/routes")]);
    Object.assign(paying, { prices, upstreams });
    priced = served;
  } catch (error) {
    if (error.code === "missing_scope" || error.code === "page_not_found") priced = served;
  } finally {
    asking = false;
  }
}
