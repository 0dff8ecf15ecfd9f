// A page's connection to the agent: who it is, what it has to say, and round trips for the clock.

import { Clock } from "./clock.js";
import { decodePong } from "./layout.js";
import { randomName } from "./names.js";
import { isAdmitted } from "./pairing.js";
import { Socket } from "./socket.js";

/** `opened` is called with each new connection, `closed` with the reason when one is lost. */
export class Stream {
  #page = randomName();
  #kind;
  #handlers;
  #socket;
  #clock = new Clock((bytes) => this.#socket.send(bytes));

  constructor(kind, handlers) {
    this.#kind = kind;
    this.#handlers = handlers;
    this.#socket = new Socket(`${location.origin.replace("http", "ws")}/stream`, {
      opened: () => this.#opened(),
      heard: (data) => this.#heard(data),
      closed: (reason) => this.#closed(reason),
    });
  }

  /** Milliseconds that the agent's time of something here may be off; null: not known, or no connection. */
  get uncertainty() {
    return this.#socket.open ? this.#clock.uncertainty : null;
  }

  /** Send bytes, unless there is no connection now. */
  send(bytes) {
    return this.#socket.send(bytes);
  }

  /** Send a message as JSON; returns whether it was sent. */
  tell(message) {
    return this.#socket.tell(message);
  }

  #opened() {
    this.tell({ type: "hello", page: this.#page, kind: this.#kind, user_agent: navigator.userAgent.slice(0, 500) });
    this.#clock.start();
    this.#handlers.opened();
  }

  #heard(data) {
    const pong = data instanceof ArrayBuffer && decodePong(data);
    if (pong) this.#clock.answer(pong);
  }

  async #closed(reason) {
    this.#clock.stop();
    this.#handlers.closed(reason);
    if (await isAdmitted() || this.#socket.open) return;
    this.#handlers.closed("this browser is not paired: ask for a code with bus call xr.pair '{}'");
  }
}
