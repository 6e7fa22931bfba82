// The policy of @NAME@.

import type { Evaluator, Failure, Health, Judgement, Observation, Participation } from "./contract";

function decision(
  health: Health,
  phase: number | undefined,
  participation: Participation,
  code: string,
  detail: string,
): Judgement {
  // `memory` is handed back with the next observation of this instance; nothing else survives.
  const val = { health, phase, participation, reason: { code, detail }, memory: undefined, attributes: [] };
  return { tag: "ok", val };
}

/** Says why an observation could not be judged. */
function failure(tag: Failure["tag"], val: string): Judgement {
  return { tag: "err", val: { tag, val } };
}

function startsWith(bytes: Uint8Array, word: string): boolean {
  return bytes.length >= word.length && [...word].every((letter, at) => bytes[at] === letter.charCodeAt(0));
}

function decide(seen: Observation): Judgement {
  const answer = seen.answers.find((answer) => answer.source === "health");
  if (!answer) return failure("unsupported", "there is no source `health`");
  if (answer.outcome.tag === "err") {
    return decision("unknown", undefined, "proceed", "no-answer", "it does not answer");
  }
  const { status, body } = answer.outcome.val;
  if (status < 200 || status > 299) {
    return decision("unhealthy", undefined, "proceed", "http-status", `HTTP status ${status}`);
  }
  if (startsWith(body, "busy")) return decision("healthy", 0, "defer", "busy", "it says that it is busy");
  return decision("healthy", 0, "proceed", "ok", "it answers");
}

/** An exception would cost the whole batch its answers, and nobody would read its text. */
function guarded(seen: Observation): Judgement {
  try {
    return decide(seen);
  } catch (error) {
    return failure("internal", `${error}`);
  }
}

export const evaluator: Evaluator = {
  configure(settings) {
    if (settings.trim() !== "{}") throw `@NAME@ has no settings, but was given ${settings}`;
  },

  evaluate(batch) {
    return batch.map(guarded);
  },
};
