// Pairing: the link of the QR code brings a token in its fragment, for which this browser gets a cookie.

const FRAGMENT = "#pair=";
const PATIENCE_MS = 5000;
const AGAIN = "ask for a new code with bus call xr.pair '{}'";
const REFUSALS = {
  403: `this code was used before, or is too old: ${AGAIN}`,
  429: "there were too many wrong codes: wait a minute, then open the link again",
};

/** Hand in the token of the address, if it has one, and take it out of there. Returns what came of it, in words; null: there was none. */
export async function pair() {
  if (!location.hash.startsWith(FRAGMENT)) return null;
  const token = location.hash.slice(FRAGMENT.length);
  history.replaceState(null, "", location.pathname); // it is of no use twice, and is nobody else's business
  try {
    const { status } = await handIn(token);
    return status === 204 ? "this browser is paired" : REFUSALS[status] ?? `pairing failed with status ${status}: ${AGAIN}`;
  } catch {
    return "pairing failed, the agent is not there: start it, then open the link again";
  }
}

function handIn(token) {
  const headers = { "content-type": "application/json" }, signal = AbortSignal.timeout(PATIENCE_MS);
  return fetch("/pair", { method: "POST", headers, body: JSON.stringify({ token }), signal });
}

/** Whether the agent lets this browser in; also where it is not there to ask. */
export async function isAdmitted() {
  try {
    return (await fetch("/stream", { signal: AbortSignal.timeout(PATIENCE_MS) })).status !== 401; // where a WebSocket is admitted, this only finds no page
  } catch {
    return true;
  }
}
