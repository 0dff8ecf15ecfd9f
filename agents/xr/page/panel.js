// The lines of a page that say how things are.

/** Put words into a line, unless it says them already (a screen reader would read them again); `state` is "good", "bad" or neither. */
export function show(id, words, state = "") {
  const line = document.getElementById(id);
  if (line.textContent !== words) line.textContent = words;
  line.dataset.state = state;
}
