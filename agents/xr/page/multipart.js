// Takes a stream of JPEG pictures apart: multipart/x-mixed-replace, of which each part says its length (RFC 2046, section 5.1).

const HEAD_END = [13, 10, 13, 10];
const HEAD_BYTES = 4096, PICTURE_BYTES = 16 << 20;

/** The pictures of a response, as `{ sequence, jpeg }`, until it ends. Throws an Error for what is no such stream. */
export async function* pictures(response) {
  const source = new Source(response.body.getReader());
  for (;;) {
    const head = await source.takeHead();
    if (head === null) return;
    const length = field(head, "content-length"), sequence = field(head, "x-sequence");
    if (length > PICTURE_BYTES) throw new Error(`a picture of ${length} bytes: ${PICTURE_BYTES} are read at most`);
    yield { sequence, jpeg: await source.take(length) };
  }
}

function field(head, name) {
  const found = new RegExp(`^${name}:\\s*(\\d+)\\s*$`, "im").exec(head);
  if (!found) throw new Error(`a picture without ${name}`);
  return Number(found[1]);
}

/** What of the stream has come and was not taken yet. */
class Source {
  #reader;
  #waiting = new Uint8Array(0);

  constructor(reader) {
    this.#reader = reader;
  }

  /** A part's boundary and headers; null: the stream has ended. */
  async takeHead() {
    for (;;) {
      const end = this.#headEnd();
      if (end >= 0) return new TextDecoder("latin1").decode(this.#cut(end + HEAD_END.length));
      if (this.#waiting.length > HEAD_BYTES) throw new Error(`no headers of a picture in ${HEAD_BYTES} bytes`);
      if (!(await this.#more())) return null;
    }
  }

  async take(length) {
    while (this.#waiting.length < length) {
      if (!(await this.#more())) throw new Error("the stream ended within a picture");
    }
    return this.#cut(length);
  }

  #headEnd() {
    return this.#waiting.findIndex((_, at) => HEAD_END.every((byte, index) => this.#waiting[at + index] === byte));
  }

  #cut(length) {
    const cut = this.#waiting.subarray(0, length);
    this.#waiting = this.#waiting.subarray(length);
    return cut;
  }

  async #more() {
    const { done, value } = await this.#reader.read();
    if (done) return false;
    const joined = new Uint8Array(this.#waiting.length + value.length);
    joined.set(this.#waiting);
    joined.set(value, this.#waiting.length);
    this.#waiting = joined;
    return true;
  }
}
