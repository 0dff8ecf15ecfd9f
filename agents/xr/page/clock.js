// Round trips, by which the agent learns how this page's clock goes against its own.
// The least delay of some trips bounds the error of the offset: half of it (Mills, RFC 5905, section 8).

import { encodeEcho, encodePing } from "./layout.js";

const QUICK_ROUNDS = 10;
const QUICK_MS = 50, SLOW_MS = 1000;
const REMEMBERED = 60;

/** Asks over `send`, which takes bytes, from `start` to `stop`. */
export class Clock {
  #send;
  #number = 0;
  #rounds = 0;
  #timer;
  #delays = [];

  constructor(send) {
    this.#send = send;
  }

  /** How far off a time may be in milliseconds, by the shortest of the last trips; null: there was none. */
  get uncertainty() {
    return this.#delays.length ? Math.min(...this.#delays) / 2 : null;
  }

  start() {
    this.stop();
    this.#rounds = 0;
    this.#delays = [];
    this.#ask();
  }

  stop() {
    clearTimeout(this.#timer);
  }

  /** An answer is here: say the four times of its trip. */
  answer(pong) {
    const answered = performance.now();
    this.#send(encodeEcho({ ...pong, answered }));
    this.#delays.push(Math.max(0, answered - pong.asked - Number(pong.sent - pong.received) / 1e6));
    if (this.#delays.length > REMEMBERED) this.#delays.shift();
  }

  #ask() {
    this.#rounds += 1;
    this.#number += 1;
    this.#timer = setTimeout(() => this.#ask(), this.#rounds < QUICK_ROUNDS ? QUICK_MS : SLOW_MS);
    this.#send(encodePing({ number: this.#number, asked: performance.now() }));
  }
}
