// The policy of @NAME@.

/** Says why an observation could not be judged: `unreadable`, `unsupported` or `internal`. */
const failure = (tag, val) => ({ tag: "err", val: { tag, val } });

function decision(health, phase, participation, code, detail) {
  // `memory` is handed back with the next observation of this instance; nothing else survives.
  const val = { health, phase, participation, reason: { code, detail }, memory: undefined, attributes: [] };
  return { tag: "ok", val };
}

function startsWith(bytes, word) {
  return bytes.length >= word.length && [...word].every((letter, at) => bytes[at] === letter.charCodeAt(0));
}

function decide(seen) {
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
function guarded(seen) {
  try {
    return decide(seen);
  } catch (error) {
    return failure("internal", `${error}`);
  }
}

export const evaluator = {
  /** Once for each new instance, before anything else. `settings` is JSON; what is thrown refuses them. */
  configure(settings) {
    if (settings.trim() !== "{}") throw `@NAME@ has no settings, but was given ${settings}`;
  },

  /** As many results as observations, in the same order; each depends on its own alone. */
  evaluate(batch) {
    return batch.map(guarded);
  },
};
