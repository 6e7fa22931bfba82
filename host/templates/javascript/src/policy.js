// The policy of @NAME@.

import { failure, policy } from "./contract.js";

function decision(health, phase, participation, code, detail) {
  // `memory` is handed back with the next observation of this instance; nothing else survives.
  const val = { health, phase, participation, reason: { code, detail }, memory: undefined, attributes: [] };
  return { tag: "ok", val };
}

function startsWith(bytes, word) {
  return bytes.length >= word.length && [...word].every((letter, at) => bytes[at] === letter.charCodeAt(0));
}

/** An exception here becomes the failure `internal` of this observation, with its place. */
function decide(seen) {
  const answer = seen.answers.find((answer) => answer.source === "health");
  if (!answer) return failure("unsupported", "there is no source `health`");
  if (answer.outcome.tag === "err") {
    return decision("unknown", undefined, "proceed", "no-answer", "it does not answer");
  }
  const { status, body } = answer.outcome.val;
  // Status 0: a TCP probe, whose port opened.
  if (status !== 0 && (status < 200 || status > 299)) {
    return decision("unhealthy", undefined, "proceed", "http-status", `HTTP status ${status}`);
  }
  if (startsWith(body, "busy")) return decision("healthy", 0, "defer", "busy", "it says that it is busy");
  return decision("healthy", 0, "proceed", "ok", "it answers");
}

/** Once for each new instance, before anything else. `settings` is JSON; what is thrown refuses them. */
function configure(settings) {
  if (settings.trim() !== "{}") throw `@NAME@ has no settings, but was given ${settings}`;
}

// `decide` is called for each observation; its answer depends on that one and the settings alone.
export const evaluator = policy({ configure, decide });
