// What the page's modules make of things: `node page.mjs PAGE < TASKS`, where PAGE is the folder of its modules.
// A task is a line of JSON, ["encodeFrame" | "encodePing" | "encodeEcho" | "encodeShown", message], ["decodePong", hexadecimal], or
// ["pictures", chunks in hexadecimal]. Writes a line of JSON for each: bytes in hexadecimal, host times as text.

import { readFileSync } from "node:fs";
import { join } from "node:path";

const HOST_TIMES = ["received", "sent"];
const layout = await load("layout.js");
const { pictures } = await load("multipart.js");

for (const line of readFileSync(0, "utf8").split("\n").filter(Boolean)) {
  const [name, given] = JSON.parse(line, (key, value) => (HOST_TIMES.includes(key) && typeof value === "string" ? BigInt(value) : value));
  const made = name === "pictures" ? await taken(given) : done(name, given);
  console.log(JSON.stringify(made, (_, value) => (typeof value === "bigint" ? String(value) : value)));
}

/** A module that imports no other. Node.js takes a file of that name for no module, a page does. */
function load(name) {
  return import(`data:text/javascript;base64,${readFileSync(join(process.argv[2], name)).toString("base64")}`);
}

function done(name, given) {
  if (name === "decodePong") return layout.decodePong(new Uint8Array(Buffer.from(given, "hex")).buffer);
  const { buffer, byteOffset, byteLength } = layout[name](given);
  return Buffer.from(buffer, byteOffset, byteLength).toString("hex");
}

async function taken(chunks) {
  const found = [];
  try {
    for await (const { sequence, jpeg } of pictures(new Response(new Blob(chunks.map((chunk) => Buffer.from(chunk, "hex"))).stream()))) {
      found.push([sequence, Buffer.from(jpeg).toString("hex")]);
    }
  } catch (error) {
    return error.message;
  }
  return found;
}
