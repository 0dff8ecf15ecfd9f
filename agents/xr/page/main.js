// The page of poses: enters a session of WebXR and sends its frames, and says in words how that goes.

import { encodeFrame } from "./layout.js";
import { pair } from "./pairing.js";
import { show } from "./panel.js";
import { Rate } from "./rate.js";
import { MODES, Session, hindrances } from "./session.js";
import { Stream } from "./stream.js";

const REFRESH_MS = 250;
const RESUMED = "mode"; // of the session storage: what a page that is loaded again goes on with

const rate = new Rate();
const canvas = document.getElementById("preview");
let session = null;
let sequence = 0;
let tracked = [];
let told = null; // the session whose begin was told by this connection
let unsaid = null; // a session that ended while the agent was away
let leaving = false; // the page is about to go, or to be loaded again

const listener = {
  frame: sendFrame,
  rested: ({ name }, visibility) => stream.tell({ type: "rest", session: name, visibility }),
  ended: leave,
};

const paired = await pair();
if (paired) show("pairing", paired);
const stream = new Stream("poses", { opened: greet, closed: (reason) => show("connection", `away: ${reason}`, "bad") });

for (const mode of MODES) document.getElementById(mode).addEventListener("click", () => enter(mode));
document.getElementById("leave").addEventListener("click", () => session?.end("its page was asked to end it"));
navigator.xr?.addEventListener("devicechange", offer);
addEventListener("pagehide", hide);
setInterval(refresh, REFRESH_MS);
await offer();
await resume();

/** Again with each connection: which session goes on, or ended meanwhile. */
function greet() {
  show("connection", "connected", "good");
  told = null;
  if (unsaid && stream.tell(unsaid)) unsaid = null;
  if (session?.begun) tellBegin(session);
}

/** Unless it is told: what has no room now is told before a later frame. */
function tellBegin(running) {
  if (told !== running.name && stream.tell({ type: "begin", ...running.description })) told = running.name;
}

async function offer() {
  const found = await hindrances(navigator.xr);
  for (const mode of MODES) {
    const button = document.getElementById(mode);
    button.hidden = session !== null;
    button.disabled = found[mode] !== null;
    show(`${mode}-reason`, found[mode] ?? "");
  }
  document.getElementById("leave").hidden = session === null;
  const able = MODES.filter((mode) => found[mode] === null);
  show("webxr", able.length ? `this browser has ${able.join(", ")}` : found.inline, able.length ? "good" : "bad");
}

async function enter(mode) {
  for (const each of MODES) document.getElementById(each).disabled = true; // one click is one session
  try {
    session = await Session.enter(navigator.xr, mode, canvas, listener);
    sessionStorage.setItem(RESUMED, mode);
    canvas.hidden = mode !== "inline";
    show("session", mode, "good");
  } catch (error) {
    show("session", `${mode} could not begin: ${error.message}`, "bad");
  }
  await offer();
}

/** Go on as before the page was loaded again. Some browsers want a click for that, and say so. */
async function resume() {
  const mode = sessionStorage.getItem(RESUMED);
  if (mode && !document.getElementById(mode).disabled) await enter(mode);
}

function hide() {
  leaving = true;
  if (session) sayEnd(session, "its page was left");
}

function sendFrame(running, sampled, samples) {
  tellBegin(running);
  sequence += 1;
  tracked = samples.map(({ device, tracking }) => (tracking === "emulated" ? `${device} (position estimated)` : device));
  rate.count();
  stream.send(encodeFrame({ sequence, sampled, sent: performance.now(), samples }));
}

function leave(ended, reason) {
  if (leaving) return;
  sessionStorage.removeItem(RESUMED);
  sayEnd(ended, reason);
  session = null;
  tracked = [];
  canvas.hidden = true;
  show("session", `ended: ${reason}`);
  offer();
}

function sayEnd({ begun, name }, reason) {
  if (!begun) return; // nobody knows of it
  const message = { type: "end", session: name, reason };
  unsaid = stream.tell(message) ? null : message;
}

function refresh() {
  const { uncertainty } = stream;
  show("clock", uncertainty === null ? "not known" : `within ${uncertainty.toFixed(2)} ms`, uncertainty === null ? "bad" : "good");
  show("rate", session ? String(rate.perSecond) : "none");
  show("tracked", tracked.join(", ") || "nothing");
}
