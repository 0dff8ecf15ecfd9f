// The page of the overlay: shows its pictures as they come, and tells the agent when each was there to be seen.

import { askFigures, figure } from "./figures.js";
import { encodeShown } from "./layout.js";
import { pictures } from "./multipart.js";
import { show } from "./panel.js";
import { Rate } from "./rate.js";
import { Stream } from "./stream.js";

const AGAIN_MS = 300; // after the stream of pictures has ended
const IDLE_MS = 2000; // after one without a picture: the overlay is off
const SILENT_MS = 12_000; // the agent ends a stream that has no picture for 10 s: one that is silent for longer is dead
const REFRESH_MS = 1000;

const rate = new Rate();
const canvas = document.getElementById("overlay");
const context = canvas.getContext("2d", { alpha: false });
let newest = null; // what has come and is not drawn yet
let drawing = false;
let following = new AbortController(); // of the stream of pictures

const stream = new Stream("overlay", {
  opened: () => show("connection", "connected", "good"),
  closed: lose,
});
repeat(follow);
repeat(refresh);
setInterval(() => show("rate", String(rate.perSecond)), REFRESH_MS);

/** Do it for ever, and wait after each time for as many milliseconds as it says. */
async function repeat(work) {
  for (;;) {
    const pause = await work();
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** The agent is away: its pictures are, too, though their connection may say nothing of it. */
function lose(reason) {
  show("connection", `away: ${reason}`, "bad");
  following.abort(new Error(`away: ${reason}`));
}

/** Take pictures for as long as they come. Returns when to ask again. */
async function follow() {
  following = new AbortController();
  let came = false, deadline = giveUpLater();
  try {
    for await (const picture of await askPictures()) {
      clearTimeout(deadline);
      deadline = giveUpLater();
      came = true;
      take(picture);
    }
    if (!came) return IDLE_MS;
    show("pictures", "the agent has ended the stream", "bad");
  } catch (error) {
    show("pictures", error.message, "bad");
  } finally {
    clearTimeout(deadline);
    following.abort(); // also a stream that is none
  }
  return AGAIN_MS;
}

function giveUpLater() {
  return setTimeout(() => following.abort(new Error("no picture comes")), SILENT_MS);
}

async function askPictures() {
  const response = await fetch("/overlay.mjpeg", { cache: "no-store", signal: following.signal });
  if (!response.ok) throw new Error(`the agent answers with status ${response.status}`);
  show("pictures", "waiting for the first picture: bus call xr.overlay '{}' turns the overlay on");
  return pictures(response);
}

/** While one is drawn, of those that come only the newest is kept. */
function take(picture) {
  newest = picture;
  if (!drawing) drawAll();
}

async function drawAll() {
  drawing = true;
  while (newest) {
    const picture = newest;
    newest = null;
    await draw(picture);
  }
  drawing = false;
}

async function draw({ sequence, jpeg }) {
  try {
    const image = await createImageBitmap(new Blob([jpeg], { type: "image/jpeg" }));
    if (canvas.width !== image.width || canvas.height !== image.height) [canvas.width, canvas.height] = [image.width, image.height];
    context.drawImage(image, 0, 0);
    image.close();
  } catch (error) {
    show("pictures", `picture ${sequence} cannot be drawn: ${error.message}`, "bad");
    return;
  }
  await new Promise(requestAnimationFrame); // it is painted with this frame
  stream.send(encodeShown({ sequence, shown: performance.now() }));
  rate.count();
  if (!following.signal.aborted) show("pictures", "they come", "good");
}

/** Returns when to look again. */
async function refresh() {
  const figures = await askFigures();
  const delay = figure(figures, "xr_latency_seconds", 'span="motion_to_photon"', 'quantile="p50"');
  const error = figure(figures, "xr_overlay_error_pixels");
  show("delay", delay === null ? "not measured" : `${(delay * 1000).toFixed(1)} ms (median)`);
  show("error", error === null ? "not measured" : `${error.toFixed(2)} pixels`);
  return REFRESH_MS;
}
