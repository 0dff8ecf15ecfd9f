// How often something happens, over the last second.

const WINDOW_MS = 1000;

export class Rate {
  #times = [];

  count() {
    this.#times.push(performance.now());
    this.#forget();
  }

  get perSecond() {
    this.#forget();
    return this.#times.length;
  }

  #forget() {
    const oldest = performance.now() - WINDOW_MS;
    while (this.#times[0] < oldest) this.#times.shift();
  }
}
