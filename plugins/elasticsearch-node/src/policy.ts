// Upgrades the nodes of an Elasticsearch cluster: the elected master last, and nobody while shards
// are on the move. Reads `/_cluster/state`, which every node answers for itself with `local=true`.

import { failure, type Health, type Judgement, type Observation, type Participation, policy } from "./contract.js";
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
  /** Shards of this node. */
  shards: number;
  /** Those of them that are not started. */
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

/** The members of an object; `place` says in a message where it should be. */
function members(value: Json | undefined, place: string): { [name: string]: Json } {
  if (value === undefined || value === null) throw new Unreadable(`${place} is missing; ask for the path of the README`);
  if (typeof value !== "object" || Array.isArray(value)) throw new Unreadable(`${place} is no object`);
  return value;
}

function list(value: Json | undefined, place: string): Json[] {
  if (value === undefined || value === null) throw new Unreadable(`${place} is missing; ask for the path of the README`);
  if (!Array.isArray(value)) throw new Unreadable(`${place} is no list`);
  return value;
}

/** Shards that are not started. */
function movingOf(shards: Json[]): number {
  let moving = 0;
  for (const shard of shards) {
    const state = (shard as { state?: Json } | null)?.state;
    if (typeof state !== "string") throw new Unreadable("routing_nodes: a shard has no state");
    if (state !== "STARTED") moving++;
  }
  return moving;
}

function selfOf(nodes: { [id: string]: Json }, name: string): string | undefined {
  const named = Object.keys(nodes).filter((id) => members(nodes[id], `nodes.${id}`).name === name);
  if (named.length > 1) throw new Unreadable(`${named.length} nodes are named ${name}`);
  return named[0];
}

function read(document: Json, name: string): State {
  if (document === null) throw new Unreadable("the answer is no object");
  const root = members(document, "the answer");
  const master = root.master_node;
  if (master !== undefined && master !== null && typeof master !== "string") {
    throw new Unreadable("master_node is no text");
  }
  const nodes = members(root.nodes, "nodes");
  const self = selfOf(nodes, name);
  if (typeof master === "string" && !Object.hasOwn(nodes, master)) {
    throw new Unreadable(`master_node is ${master}, which is not among the nodes`);
  }
  const routing = members(root.routing_nodes, "routing_nodes");
  const unassigned = list(routing.unassigned, "routing_nodes.unassigned").length;
  const perNode = members(routing.nodes, "routing_nodes.nodes");
  // Elasticsearch leaves out a node without shards, such as a master that holds no data.
  const holds = self !== undefined && Object.hasOwn(perNode, self);
  const own = holds ? list(perNode[self], `routing_nodes.nodes.${self}`) : [];
  return { master: master ?? undefined, self, shards: own.length, moving: movingOf(own), unassigned };
}

function started({ shards, moving }: State): string {
  if (shards === 0) return "it holds no shards";
  return moving === 0 ? "all its shards are started" : `${shards - moving} of its ${shards} shards are started`;
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
    : decision("healthy", phase, "proceed", "node", started(state));
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

function configure(text: string): void {
  settings = readSettings(text);
}

export const evaluator = policy({ configure, decide });
