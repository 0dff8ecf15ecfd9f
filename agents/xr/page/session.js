// A session of WebXR: what the browser can do, the reference space, and the loop of its frames.

import { Drawing } from "./drawing.js";
import { randomName } from "./names.js";
import { samplesOf } from "./sampling.js";

export const MODES = ["inline", "immersive-vr", "immersive-ar"];
const SPACES = ["local-floor", "local", "viewer"]; // the first that there is
const NATIVE = "[native code]";

/** Why each mode cannot be entered, in plain words; null: it can. */
export async function hindrances(xr) {
  const found = await Promise.all(MODES.map((mode) => hindrance(xr, mode)));
  return Object.fromEntries(MODES.map((mode, index) => [mode, found[index]]));
}

async function hindrance(xr, mode) {
  if (!isSecureContext) return "WebXR needs HTTPS, or this machine's own address";
  if (!xr) return "this browser has no WebXR";
  try {
    return (await xr.isSessionSupported(mode)) ? null : "there is no headset that can do this";
  } catch (error) {
    return `the browser refuses: ${error.message}`;
  }
}

/** Whether the browser itself makes the poses: a script that stands in for it is readable, the browser's own code is not. */
export function isNative(xr) {
  const methods = [xr.isSessionSupported, xr.requestSession, XRSession.prototype.requestAnimationFrame, XRFrame.prototype.getViewerPose];
  return methods.every((method) => Function.prototype.toString.call(method).includes(NATIVE));
}

/**
 * A session that runs. `listener` hears `frame(session, sampled, samples)` for each while it is visible, `rested(session, visibility)` and
 * `ended(session, reason)`.
 */
export class Session {
  name = randomName();
  #session;
  #mode;
  #native;
  #listener;
  #space;
  #drawing;
  #begun = false;
  #reason = "the headset or its browser has ended it";
  #onVisibility = () => this.#look();

  /** Enter a mode; to be called by a person's click. Rejects with the browser's error. */
  static async enter(xr, mode, canvas, listener) {
    const features = mode === "inline" ? ["local-floor", "local"] : ["local-floor", "hand-tracking"];
    const session = await xr.requestSession(mode, { optionalFeatures: features });
    const entered = new Session(session, mode, isNative(xr), listener);
    try {
      await entered.#prepare(canvas);
    } catch (error) {
      await entered.end("it could not be prepared");
      throw error;
    }
    return entered;
  }

  constructor(session, mode, native, listener) {
    this.#session = session;
    this.#mode = mode;
    this.#native = native;
    this.#listener = listener;
    session.addEventListener("end", () => this.#over());
    session.addEventListener("visibilitychange", this.#onVisibility);
    document.addEventListener("visibilitychange", this.#onVisibility);
  }

  /** What the agent is told of it. */
  get description() {
    const profiles = Array.from(this.#session.inputSources, ({ profiles: [first] }) => first ?? "unknown").slice(0, 16);
    const { name, rate } = this;
    return { session: name, mode: this.#mode, native: this.#native, space: this.#space.type, rate, profiles };
  }

  /** With the first frame: before it a headset does not name its controllers. */
  get begun() {
    return this.#begun;
  }

  /** Frames a second as the browser promises them; null: it does not. */
  get rate() {
    return this.#session.frameRate || null;
  }

  end(reason) {
    this.#reason = reason;
    return this.#session.end();
  }

  async #prepare(canvas) {
    this.#drawing = await Drawing.on(canvas, this.#session, this.#mode);
    this.#space = await referenceSpace(this.#session);
    this.#session.requestAnimationFrame((time, frame) => this.#frame(time, frame));
  }

  /** An inline session sees nothing where its page is hidden. */
  get #visibility() {
    return this.#mode === "inline" && document.hidden ? "hidden" : this.#session.visibilityState;
  }

  #frame(time, frame) {
    this.#session.requestAnimationFrame((next, after) => this.#frame(next, after));
    if (this.#visibility !== "visible") return;
    this.#begun = true;
    const samples = samplesOf(frame, this.#space);
    this.#listener.frame(this, time, samples);
    this.#drawing.draw(frame, this.#space, samples);
  }

  #look() {
    if (this.#begun && this.#visibility !== "visible") this.#listener.rested(this, this.#visibility);
  }

  #over() {
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#drawing?.release();
    this.#listener.ended(this, this.#reason);
  }
}

async function referenceSpace(session) {
  for (const type of SPACES) {
    try {
      return { type, space: await session.requestReferenceSpace(type) };
    } catch {
      continue; // not every session has each of them
    }
  }
  throw new Error(`the session has none of the reference spaces ${SPACES.join(", ")}`);
}
