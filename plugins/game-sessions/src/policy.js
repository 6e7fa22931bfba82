// Drains game servers: waits while players are connected, keeps out of locked matches, and upgrades
// the servers that are already drained first.

import { parseJson } from "./json.js";
import { readSettings } from "./settings.js";

/** Drained servers go first, then those that merely happen to be empty. */
const DRAINED_PHASE = 0;
const EMPTY_PHASE = 1;

let settings;

const failure = (tag, val) => ({ tag: "err", val: { tag, val } });

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

function judge(seen, status) {
  const players = status[settings.playersMember];
  if (!Number.isInteger(players) || players < 0) {
    return failure("unreadable", `${settings.playersMember} is ${JSON.stringify(players)}, expected a whole number`);
  }
  const match = status[settings.matchMember];
  if (match !== undefined && match !== null && typeof match !== "string") {
    return failure("unreadable", `${settings.matchMember} is ${JSON.stringify(match)}, expected a text`);
  }
  const draining = status[settings.drainingMember];
  if (draining !== undefined && draining !== null && typeof draining !== "boolean") {
    return failure("unreadable", `${settings.drainingMember} is ${JSON.stringify(draining)}, expected true or false`);
  }
  const phase = draining ? DRAINED_PHASE : EMPTY_PHASE;
  if (match && settings.lockedMatches.includes(match.toLowerCase())) {
    return decision("healthy", phase, "skip", "match-locked", `a match is ${match}, ${players} players`, undefined);
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

/** An exception would cost the whole batch its answers, and nobody would read its text. */
function guarded(seen) {
  try {
    return decide(seen);
  } catch (error) {
    return failure("internal", `${error}`);
  }
}

export const evaluator = {
  configure(text) {
    settings = readSettings(text);
  },

  evaluate(batch) {
    return batch.map(guarded);
  },
};
