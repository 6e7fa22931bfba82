// JSON from hostile bytes: strict about UTF-8, and never nested so deeply that the parser, which
// calls itself, runs out of stack. Of members of one name the last one counts.
//
// Each step is one of the engine's own functions over many bytes: a loop over single bytes costs
// some hundred times as much, and 64 KiB would use up the fuel of an evaluation.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const DEPTH_MAX = 1000;
/** The bits that no byte of ASCII has, in four bytes. */
const BEYOND_ASCII = 0x80808080 | 0;

/** The text; throws a URIError where it is no UTF-8. The engine has no TextDecoder. */
export function decodeText(body: Uint8Array): string {
  const letters = atob(body.toBase64());
  const padded = new Uint8Array((body.length + 3) & ~3);
  padded.set(body);
  const words = new Int32Array(padded.buffer);
  const { length } = words;
  const pieces: string[] = [];
  let done = 0;
  for (let at = 0; at < length; ) {
    while (at + 4 <= length && ((words[at]! | words[at + 1]! | words[at + 2]! | words[at + 3]!) & BEYOND_ASCII) === 0) at += 4;
    while (at < length && (words[at]! & BEYOND_ASCII) === 0) at++;
    const start = at;
    // All bytes of a letter beyond ASCII have the bit, so none is cut at the end of such a stretch.
    while (at < length && (words[at]! & BEYOND_ASCII) !== 0) at++;
    if (at === start) continue;
    pieces.push(letters.slice(done, start * 4), decodeURIComponent(escape(letters.slice(start * 4, at * 4))));
    done = at * 4;
  }
  pieces.push(letters.slice(done));
  return pieces.join("");
}

/** Whether brackets outside of texts are nested too deeply; what lies behind them is not looked at. */
function isTooDeep(text: string): boolean {
  // Cheap and enough for nearly all: no nesting is deeper than there are opening brackets. The
  // end of one object and the beginning of its neighbour add no depth.
  const fewer = text.replaceAll("},{", "");
  if (fewer.split("{").length + fewer.split("[").length - 2 <= DEPTH_MAX) return false;
  let depth = 0;
  let inText = false;
  for (let at = 0; at < text.length; at++) {
    const letter = text[at];
    if (inText && letter === "\\") at++;
    else if (letter === '"') inText = !inText;
    else if (inText) continue;
    else if (letter === "{" || letter === "[") {
      if (++depth > DEPTH_MAX) return true;
    } else if (letter === "}" || letter === "]") depth--;
  }
  return false;
}

/** The value; throws an Error that says why there is none. */
export function parseJson(body: Uint8Array): Json {
  if (body.length === 0) throw new Error("it is empty");
  const text = decodeText(body);
  if (isTooDeep(text)) throw new Error(`it is nested deeper than ${DEPTH_MAX}`);
  return JSON.parse(text) as Json;
}
