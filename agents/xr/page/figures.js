// What the agent measures, out of the text that it has for Prometheus.

const PATIENCE_MS = 2000;

/** Ask for that text; empty where the agent is not there. */
export async function askFigures() {
  try {
    const response = await fetch("/metrics", { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    return response.ok ? await response.text() : "";
  } catch {
    return "";
  }
}

/** The value under a name, with these labels (`span="page_to_bus"`), in whatever order they stand; null: there is none. */
export function figure(text, name, ...labels) {
  const line = text.split("\n").find((each) => each.startsWith(name) && labels.every((label) => each.includes(label)));
  const value = line === undefined ? NaN : Number(line.slice(line.lastIndexOf(" ")));
  return Number.isFinite(value) ? value : null;
}
