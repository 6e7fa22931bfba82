// What an author may get wrong: the body of the answer says which mistake to make. Built by
// `plugins/build.sh --new` in a new project, in place of its policy.

import { policy } from "./contract.js";
import { decodeText, parseJson } from "./json.js";

const good = { health: "healthy", phase: 1, participation: "proceed", reason: { code: "ok", detail: "fine" }, attributes: [] };
const answer = (change) => ({ tag: "ok", val: { ...good, ...change } });
const circle = {};
circle.self = circle;

const mistakes = {
  nothing: () => undefined,
  promise: async () => answer({}),
  "no-tag": () => good,
  nan: () => answer({ phase: NaN }),
  half: () => answer({ phase: 1.5 }),
  below: () => answer({ phase: -1 }),
  above: () => answer({ phase: 2147483648 }),
  last: () => answer({ phase: 2147483647 }),
  digit: () => answer({ phase: "3" }),
  big: () => answer({ phase: 3n }),
  null: () => answer({ phase: null, reason: null, memory: null, attributes: undefined }),
  health: () => answer({ health: "fine" }),
  participation: () => answer({ participation: undefined }),
  reason: () => answer({ reason: "because" }),
  detail: () => answer({ reason: { code: "ok", detail: 7 } }),
  surrogate: () => answer({ reason: { code: "ok", detail: "half \ud800" } }),
  memory: () => answer({ memory: "12" }),
  attributes: () => answer({ attributes: { a: "b" } }),
  pair: () => answer({ attributes: [["a", 1]] }),
  circle: () => answer({ health: circle }),
  kind: () => ({ tag: "err", val: { tag: "odd", val: "x" } }),
  "half-failure": () => ({ tag: "err", val: { tag: "unreadable", val: "half \ud800" } }),
  member: () => answer({ phase: undefined.phase }),
  text: () => { throw "a text"; },
  symbol: () => { throw Symbol("odd"); },
  json: () => parseJson(new Uint8Array([91])),
  console: () => {
    console.log("seen", { a: [1, 2] }, 3n, undefined, Symbol("s"), circle);
    console.error(new Error("told"), "half \ud800");
    return answer({});
  },
  now: () => answer({ reason: { code: "now", detail: new Date(Date.now()).toISOString() } }),
};

function configure(settings) {
  const { mistake } = JSON.parse(settings);
  if (mistake === "member") undefined.member;
  if (mistake === "text") throw "mistake is a text";
}

function decide(seen) {
  return mistakes[decodeText(seen.answers[0].outcome.val.body)]();
}

export const evaluator = policy({ configure, decide });
