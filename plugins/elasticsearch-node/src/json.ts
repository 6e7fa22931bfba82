// JSON from hostile bytes: strict about UTF-8, and never nested so deeply that the parser, which
// calls itself, runs out of stack.

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json };

const DEPTH_MAX = 64;
const QUOTE = 34;
const BACKSLASH = 92;
const PERCENT = 37;

function isOpening(byte: number) {
  return byte === 91 || byte === 123;
}

function isClosing(byte: number) {
  return byte === 93 || byte === 125;
}

/** Whether brackets outside of texts are nested too deeply; what lies behind them is not looked at. */
function isTooDeep(body: Uint8Array) {
  let depth = 0;
  let inText = false;
  for (let at = 0; at < body.length; at++) {
    const byte = body[at] as number;
    if (inText && byte === BACKSLASH) at++;
    else if (byte === QUOTE) inText = !inText;
    else if (!inText && isOpening(byte) && ++depth > DEPTH_MAX) return true;
    else if (!inText && isClosing(byte)) depth--;
  }
  return false;
}

/** The value; throws an Error that says why there is none. */
export function parseJson(body: Uint8Array): Json {
  if (body.length === 0) throw new Error("it is empty");
  if (isTooDeep(body)) throw new Error(`it is nested deeper than ${DEPTH_MAX}`);
  // Escaped byte by byte and decoded, because QuickJS has no TextDecoder.
  let text = "";
  for (const byte of body) {
    text += byte < 128 && byte !== PERCENT ? String.fromCharCode(byte) : "%" + byte.toString(16).padStart(2, "0");
  }
  return JSON.parse(decodeURIComponent(text)) as Json;
}
