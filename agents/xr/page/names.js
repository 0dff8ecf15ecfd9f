// Names that nobody else has: of a page, until it is loaded anew, and of each session.

/** 128 random bits in hexadecimal. (crypto.randomUUID would want HTTPS.) */
export function randomName() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
