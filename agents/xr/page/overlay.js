// The page of the overlay: shows its pictures as they come, and tells the agent when each was there to be seen.

import { askFigures, figure } from "./figures.js";
import { encodeShown } from "./layout.js";
import { pictures } from "./multipart.js";
import { show } from "./panel.js";
import { Rate } from "./rate.js";
import { Stream } from "./stream.js";

const AGAIN_MS = 300;
const REFRESH_MS = 1000;

const rate = new Rate();
const canvas = document.getElementById("overlay");
const context = canvas.getContext("2d", { alpha: false });
let newest = null; // what has come and is not drawn yet
let drawing = false;

const stream = new Stream("overlay", {
  opened: () => show("connection", "connected", "good"),
  closed: (reason) => show("connection", `away: ${reason}`, "bad"),
});
setInterval(refresh, REFRESH_MS);
for (;;) {
  await follow();
  await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
}

/** Take pictures for as long as they come. */
async function follow() {
  try {
    const response = await fetch("/overlay.mjpeg", { cache: "no-store" });
    if (!response.ok) throw new Error(`the agent answers with status ${response.status}`);
    show("pictures", "waiting for the first picture: bus call xr.overlay '{}' turns the overlay on");
    for await (const picture of pictures(response)) take(picture);
    show("pictures", "the agent has ended the stream", "bad");
  } catch (error) {
    show("pictures", error.message, "bad");
  }
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
  show("pictures", "they come", "good");
}

async function refresh() {
  show("rate", String(rate.perSecond));
  const figures = await askFigures();
  const delay = figure(figures, "xr_latency_seconds", 'span="motion_to_photon"', 'quantile="p50"');
  const error = figure(figures, "xr_overlay_error_pixels");
  show("delay", delay === null ? "not measured" : `${(delay * 1000).toFixed(1)} ms (median)`);
  show("error", error === null ? "not measured" : `${error.toFixed(2)} pixels`);
}
