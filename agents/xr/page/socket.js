// The WebSocket to the agent. It comes back by itself unless the agent refuses what the page says, and keeps nothing while it is away: poses of the past are worth nothing.

const TRIES_MS = [100, 200, 400, 500]; // before each try; the last one again and again
const OPEN_MS = 2000; // for a connection to come about
const SILENT_MS = 3000; // the agent answers a ping each second: what is silent for longer is dead
const FINAL = [1007, 1008, 1009]; // closing codes of the agent for what a page did wrong, and would do again
const BACKLOG_BYTES = 64 << 10; // of what has not left yet: more means that the way is too slow for it

/** A connection that is kept up. `opened`, `heard` (an ArrayBuffer) and `closed` (a reason) are called as it goes. */
export class Socket {
  #address;
  #handlers;
  #socket = null;
  #tries = 0;
  #timer;

  constructor(address, handlers) {
    this.#address = address;
    this.#handlers = handlers;
    this.#connect();
  }

  get open() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Send bytes, or a message as JSON. What cannot leave now is dropped; returns whether it was sent. */
  send(bytes) {
    if (!this.open || this.#socket.bufferedAmount > BACKLOG_BYTES) return false;
    this.#socket.send(bytes);
    return true;
  }

  tell(message) {
    return this.send(JSON.stringify(message));
  }

  #connect() {
    const socket = new WebSocket(this.#address);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#opened();
    socket.onmessage = ({ data }) => this.#heard(data);
    socket.onclose = ({ code, reason }) => FINAL.includes(code) ? this.#end(reason) : this.#lost(reason || "the agent is not there");
    this.#socket = socket;
    this.#expect(OPEN_MS);
  }

  #opened() {
    this.#expect(SILENT_MS);
    this.#handlers.opened();
  }

  #heard(data) {
    this.#tries = 0; // to be let in alone is no sign that all is well
    this.#expect(SILENT_MS);
    this.#handlers.heard(data);
  }

  /** Give the connection up unless something comes before. */
  #expect(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost("the agent does not answer"), milliseconds);
  }

  /** The agent refuses what this page says. */
  #end(reason) {
    clearTimeout(this.#timer);
    this.#handlers.closed(`the agent refuses this page, load it anew: ${reason}`);
  }

  #lost(reason) {
    this.#socket.onopen = this.#socket.onmessage = this.#socket.onclose = null; // closing a dead connection takes long
    this.#socket.close();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#connect(), TRIES_MS[Math.min(this.#tries, TRIES_MS.length - 1)]);
    this.#tries += 1;
    this.#handlers.closed(reason);
  }
}
