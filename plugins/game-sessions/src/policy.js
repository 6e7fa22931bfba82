// Drains game servers: waits while players are connected, keeps out of locked matches, and upgrades
// the servers that are already drained first.

import { failure, policy } from "./contract.js";
import { parseJson } from "./json.js";
import { normalized, readSettings } from "./settings.js";

/** Drained servers go first, then those that merely happen to be empty. */
const DRAINED_PHASE = 0;
const EMPTY_PHASE = 1;

let settings;

function decision(health, phase, participation, code, detail, memory) {
  const val = { health, phase, participation, reason: { code, detail }, memory, attributes: [] };
  return { tag: "ok", val };
}

function unreachable(outcome) {
  const { tag, val } = outcome.val;
  return decision("unknown", undefined, "defer", "no-answer", val === undefined ? tag : `${tag}: ${val}`, undefined);
}

/** How many rounds in a row nobody was there, with this one; one byte of memory. */
function roundsEmpty(seen) {
  const before = seen.memory && seen.memory.length === 1 ? seen.memory[0] : 0;
  return Math.min(before + 1, 255);
}

/**
 * The state of the match, undefined for none; `{ wrong }` when it cannot be told, because an unknown
 * match may be a locked one.
 */
function matchOf(status) {
  const { matchMember: name, lockedMatches } = settings;
  if (lockedMatches.length === 0) return undefined;
  if (!Object.hasOwn(status, name)) {
    return { wrong: `${name} is missing, expected a text or null; without matches set lockedMatches = []` };
  }
  const match = status[name];
  if (match === null) return undefined;
  if (typeof match !== "string" || match.trim() === "" || !match.isWellFormed()) {
    return { wrong: `${name} is ${JSON.stringify(match)}, expected a text or null` };
  }
  return match;
}

function judge(seen, status) {
  const players = status[settings.playersMember];
  if (!Number.isInteger(players) || players < 0) {
    return failure("unreadable", `${settings.playersMember} is ${JSON.stringify(players)}, expected a whole number`);
  }
  const match = matchOf(status);
  if (typeof match === "object") return failure("unreadable", match.wrong);
  const draining = status[settings.drainingMember];
  if (draining !== undefined && draining !== null && typeof draining !== "boolean") {
    return failure("unreadable", `${settings.drainingMember} is ${JSON.stringify(draining)}, expected true or false`);
  }
  const phase = draining ? DRAINED_PHASE : EMPTY_PHASE;
  if (match && settings.lockedMatches.includes(normalized(match))) {
    return decision("healthy", phase, "skip", "match-locked", `a match is ${match.trim()}, ${players} players`, undefined);
  }
  if (players > settings.playersMax) {
    const detail = `${players} players are connected (limit ${settings.playersMax})`;
    return decision("healthy", phase, "defer", "players-connected", detail, undefined);
  }
  const rounds = roundsEmpty(seen);
  const memory = new Uint8Array([rounds]);
  if (rounds < settings.roundsEmptyMin) {
    const detail = `empty for ${rounds} of ${settings.roundsEmptyMin} rounds`;
    return decision("healthy", phase, "defer", "just-emptied", detail, memory);
  }
  const code = draining ? "drained" : "empty";
  return decision("healthy", phase, "proceed", code, `${players} players, ${code}`, memory);
}

function decide(seen) {
  const answer = seen.answers.find((answer) => answer.source === "health");
  if (!answer) return failure("unsupported", "there is no source `health`");
  if (answer.outcome.tag === "err") return unreachable(answer.outcome);
  const { status, body } = answer.outcome.val;
  if (status === 0) return failure("unsupported", "a TCP probe brings no status; probe with http or https");
  if (status < 200 || status > 299) {
    return decision("unhealthy", undefined, "defer", "http-status", `HTTP status ${status}`, undefined);
  }
  let document;
  try {
    document = parseJson(body);
  } catch (error) {
    return failure("unreadable", `the answer is no JSON: ${error.message}`);
  }
  if (document === null || typeof document !== "object" || Array.isArray(document)) {
    return failure("unreadable", "the answer is no JSON object");
  }
  return judge(seen, document);
}

function configure(text) {
  settings = readSettings(text);
}

export const evaluator = policy({ configure, decide });
