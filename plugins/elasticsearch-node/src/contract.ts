// What stands between a policy and the host; it stays as it is. It checks every answer before it
// crosses, because the conversion would cut a wrong number to fit (NaN to 0, the first phase) and
// end the whole batch at a wrong word, and it turns exceptions into failures with their place.

import log, { type Level } from "phasegate:policy/log@1.0.0";

import type { Decision, Evaluator, Failure, Health, Judgement, Observation, Participation, Policy } from "./types.js";

export type * from "./types.js";

const PHASE_MAX = 2147483647;
const HEALTH: unknown[] = ["healthy", "unhealthy", "unknown"];
const PARTICIPATION: unknown[] = ["proceed", "skip", "defer"];
const FAILURES: unknown[] = ["unreadable", "unsupported", "internal"];

/** Says why an observation could not be judged. */
export const failure = (tag: Failure["tag"], val: string): Judgement => ({ tag: "err", val: { tag, val } });

/** A value in a message: short, and never an exception of its own. */
function show(value: unknown): string {
  let text: string | undefined;
  try {
    text = typeof value === "string" || (typeof value === "object" && value !== null) ? JSON.stringify(value) : undefined;
  } catch {
    // A circle, or a bigint inside.
  }
  try {
    text ??= String(value);
  } catch {
    text = "something without a text";
  }
  return (text.length > 100 ? `${text.slice(0, 100)}…` : text).toWellFormed();
}

/** Name, message and place of an exception; of anything else that was thrown, its text. */
function describe(error: unknown): string {
  if (typeof error === "string") return error.toWellFormed();
  if (!(error instanceof Error)) return show(error);
  const place = /\(?\/?([^\s()]+:\d+):\d+\)?$/m.exec(`${error.stack}`);
  return `${error.name}: ${error.message}${place ? ` (${place[1]})` : ""}`.toWellFormed();
}

class Wrong extends Error {}

function expect(right: boolean, member: string, value: unknown, expected: string): asserts right {
  if (!right) throw new Wrong(`${member} is ${show(value)}, expected ${expected}`);
}

function text(value: unknown, member: string): string {
  expect(typeof value === "string", member, value, "a text");
  expect(value.isWellFormed(), member, value, "a text without half letters (lone surrogates)");
  return value;
}

// The author's types say what comes; what really comes is looked at as if nothing were known.
type Members = Record<string, unknown>;

function object(value: unknown, member: string, expected: string): asserts value is Members {
  expect(typeof value === "object" && value !== null && !Array.isArray(value), member, value, expected);
}

function reasonOf(reason: unknown): Decision["reason"] {
  if (reason === undefined || reason === null) return undefined;
  object(reason, "reason", "code and detail, or nothing");
  return { code: text(reason.code, "reason.code"), detail: text(reason.detail, "reason.detail") };
}

function attributesOf(attributes: unknown): [string, string][] {
  if (attributes === undefined || attributes === null) return [];
  expect(Array.isArray(attributes), "attributes", attributes, "a list of pairs of texts");
  return attributes.map((pair: unknown, at) => {
    const member = `attributes[${at}]`;
    expect(Array.isArray(pair) && pair.length === 2, member, pair, "a pair of texts");
    return [text(pair[0], `${member}[0]`), text(pair[1], `${member}[1]`)];
  });
}

function decisionOf(val: unknown): Decision {
  object(val, "the decision", "an object");
  const { health, phase, participation, memory } = val;
  expect(HEALTH.includes(health), "health", health, `one of ${HEALTH.join(", ")}`);
  const none = phase === undefined || phase === null;
  const whole = typeof phase === "number" && Number.isInteger(phase) && phase >= 0 && phase <= PHASE_MAX;
  expect(none || whole, "phase", phase, `a whole number from 0 to ${PHASE_MAX} or nothing`);
  expect(PARTICIPATION.includes(participation), "participation", participation, `one of ${PARTICIPATION.join(", ")}`);
  const bytes = memory === undefined || memory === null || memory instanceof Uint8Array;
  expect(bytes, "memory", memory, "a Uint8Array or nothing");
  return {
    health: health as Health,
    phase: whole ? phase : undefined,
    participation: participation as Participation,
    reason: reasonOf(val.reason),
    memory: memory ?? undefined,
    attributes: attributesOf(val.attributes),
  };
}

function checked(answer: unknown): Judgement {
  object(answer, "what decide returned", "{ tag: \"ok\" or \"err\", val }");
  expect(typeof answer.then !== "function", "what decide returned", "a promise", "an answer at once, so no async");
  if (answer.tag === "ok") return { tag: "ok", val: decisionOf(answer.val) };
  expect(answer.tag === "err", "tag", answer.tag, "ok or err");
  object(answer.val, "the failure", "an object");
  const { tag, val } = answer.val;
  expect(FAILURES.includes(tag), "the failure's tag", tag, `one of ${FAILURES.join(", ")}`);
  expect(typeof val === "string", "the failure's val", val, "a text");
  return failure(tag as Failure["tag"], val.toWellFormed());
}

function judge(decide: Policy["decide"], seen: Observation): Judgement {
  try {
    return checked(decide(seen));
  } catch (error) {
    return failure("internal", error instanceof Wrong ? error.message : describe(error));
  }
}

/** Whether the host is there, and with it its log. */
let called = false;

/** Makes the evaluator of the contract from two functions: `configure(settings)` and `decide(seen)`. */
export function policy({ configure, decide }: Policy): Evaluator {
  return {
    configure(settings) {
      called = true;
      try {
        configure(settings);
      } catch (error) {
        throw describe(error);
      }
    },
    evaluate(batch) {
      return batch.map((seen) => judge(decide, seen));
    },
  };
}

const line = (value: unknown): string =>
  (typeof value === "string" ? value : value instanceof Error ? describe(value) : show(value));
const writer = (level: Level) => (...values: unknown[]): void => {
  if (!called) throw new Error("console works in configure and decide; the top of a file runs while the plugin is built");
  log.write(level, values.map(line).join(" ").toWellFormed());
};

// The engine has none. A line goes to the host's log, which bounds its length and rate.
globalThis.console = {
  debug: writer("debug"),
  log: writer("info"),
  info: writer("info"),
  warn: writer("warn"),
  error: writer("error"),
};
