// Upgrades the nodes of an Elasticsearch cluster: the elected master last, and nobody while shards
// are on the move. Reads `/_cluster/state`, which every node answers for itself with `local=true`.

import type { Evaluator, Failure, Health, Judgement, Observation, Participation } from "./contract";
import { type Json, parseJson } from "./json.js";
import { readSettings, type Settings } from "./settings.js";

const NODE_PHASE = 0;
/** The master goes when every other node is done: one election instead of many. */
const MASTER_PHASE = 1;

let settings: Settings;

/** The part of the answer that matters. */
interface State {
  master: string | undefined;
  /** Id of the node that was asked; undefined when the cluster does not know it. */
  self: string | undefined;
  /** Shards of this node that are not started. */
  moving: number;
  unassigned: number;
}

class Unreadable extends Error {}

function decision(
  health: Health,
  phase: number | undefined,
  participation: Participation,
  code: string,
  detail: string,
): Judgement {
  return {
    tag: "ok",
    val: { health, phase, participation, reason: { code, detail }, memory: undefined, attributes: [] },
  };
}

function failure(tag: Failure["tag"], val: string): Judgement {
  return { tag: "err", val: { tag, val } };
}

/** The members of an object that may be absent. */
function members(value: Json | undefined, place: string): { [name: string]: Json } {
  if (value === undefined || value === null) return {};
  if (typeof value !== "object" || Array.isArray(value)) throw new Unreadable(`${place} is no object`);
  return value;
}

function list(value: Json | undefined, place: string): Json[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new Unreadable(`${place} is no list`);
  return value;
}

function shardState(shard: Json, place: string): string {
  const state = members(shard, place).state;
  if (typeof state !== "string") throw new Unreadable(`${place}: a shard has no state`);
  return state;
}

function read(document: Json, name: string): State {
  const root = members(document, "the answer");
  const master = root.master_node;
  if (master !== undefined && master !== null && typeof master !== "string") {
    throw new Unreadable("master_node is no text");
  }
  if (root.nodes === undefined) throw new Unreadable("nodes is missing; ask for the metrics of the README");
  const nodes = members(root.nodes, "nodes");
  const self = Object.keys(nodes).find((id) => members(nodes[id], `nodes.${id}`).name === name);
  const routing = members(root.routing_nodes, "routing_nodes");
  const perNode = members(routing.nodes, "routing_nodes.nodes");
  const own = self === undefined ? [] : list(perNode[self], `routing_nodes.nodes.${self}`);
  const moving = own.filter((shard) => shardState(shard, "routing_nodes") !== "STARTED").length;
  const unassigned = list(routing.unassigned, "routing_nodes.unassigned").length;
  return { master: master ?? undefined, self, moving, unassigned };
}

function judge(state: State, name: string): Judgement {
  if (state.self === undefined) {
    return decision("unhealthy", undefined, "defer", "not-in-cluster", `no node is named ${name}`);
  }
  if (state.master === undefined) {
    return decision("unhealthy", NODE_PHASE, "defer", "no-master", "the node sees no elected master");
  }
  const leads = state.master === state.self;
  const phase = leads ? MASTER_PHASE : NODE_PHASE;
  if (state.moving > settings.relocatingMax) {
    const detail = `${state.moving} shards of this node are moving or recovering (limit ${settings.relocatingMax})`;
    return decision("healthy", phase, "defer", "shards-moving", detail);
  }
  if (state.unassigned > settings.unassignedMax) {
    const detail = `${state.unassigned} shards have no node (limit ${settings.unassignedMax})`;
    return decision("healthy", phase, "defer", "shards-unassigned", detail);
  }
  return leads
    ? decision("healthy", phase, "proceed", "master", "elected master, after the other nodes")
    : decision("healthy", phase, "proceed", "node", "all its shards are started");
}

function nodeName(seen: Observation): string | undefined {
  if (settings.nodeLabel === undefined) return seen.instance.id;
  return seen.instance.labels.find(([name]) => name === settings.nodeLabel)?.[1];
}

function decide(seen: Observation): Judgement {
  const answer = seen.answers.find((answer) => answer.source === "health");
  if (!answer) return failure("unsupported", "there is no source `health`");
  if (answer.outcome.tag === "err") {
    const { tag } = answer.outcome.val;
    return decision("unknown", undefined, "defer", "no-answer", `${tag}; it may be the master`);
  }
  const { status, body } = answer.outcome.val;
  if (status === 0) return failure("unsupported", "a TCP probe brings no cluster state; probe with http or https");
  if (status < 200 || status > 299) {
    return decision("unhealthy", undefined, "defer", "http-status", `HTTP status ${status}`);
  }
  const name = nodeName(seen);
  if (name === undefined) {
    return failure("unsupported", `the instance has no label ${settings.nodeLabel} with the node's name`);
  }
  let document: Json;
  try {
    document = parseJson(body);
  } catch (error) {
    return failure("unreadable", `the answer is no JSON: ${error}`);
  }
  try {
    return judge(read(document, name), name);
  } catch (error) {
    if (error instanceof Unreadable) return failure("unreadable", error.message);
    throw error;
  }
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
  configure(text) {
    settings = readSettings(text);
  },

  evaluate(batch) {
    return batch.map(guarded);
  },
};
