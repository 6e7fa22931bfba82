// The types of wit/policy.wit, as componentize-qjs maps them: an option is `undefined` when absent,
// a result is `{ tag: "ok" | "err", val }`, a list of bytes is a Uint8Array.

export interface Instance {
  id: string;
  scaleSet: string;
  region?: string;
  zone?: string;
  faultDomain?: number;
  updateDomain?: number;
  version?: string;
  desiredVersion?: string;
  /** Sorted by name. */
  labels: [string, string][];
}

export interface Response {
  status: number;
  /** Only those that the configuration names, in lower case. */
  headers: [string, string][];
  body: Uint8Array;
}

export type ProbeFailure =
  | { tag: "timeout" }
  | { tag: "unreachable" | "tls" | "invalid-response"; val: string }
  | { tag: "body-too-large"; val: bigint };

export interface Answer {
  source: string;
  outcome: { tag: "ok"; val: Response } | { tag: "err"; val: ProbeFailure };
}

export interface Observation {
  instance: Instance;
  answers: Answer[];
  /** What this plugin returned as `memory` for this instance last time. */
  memory?: Uint8Array;
  attributes: [string, string][];
}

export type Health = "healthy" | "unhealthy" | "unknown";
export type Participation = "proceed" | "skip" | "defer";

export interface Decision {
  health: Health;
  phase?: number;
  participation: Participation;
  reason?: { code: string; detail: string };
  /** At most 4,096 bytes. */
  memory?: Uint8Array;
  attributes: [string, string][];
}

export interface Failure {
  tag: "unreadable" | "unsupported" | "internal";
  val: string;
}

export type Judgement = { tag: "ok"; val: Decision } | { tag: "err"; val: Failure };

/** What the author writes. */
export interface Policy {
  /** Once for each new instance, before anything else. `settings` is JSON; what is thrown refuses them. */
  configure(settings: string): void;
  /** Depends on this observation and the settings alone; an exception becomes the failure `internal`. */
  decide(seen: Observation): Judgement;
}

/** What the host calls. */
export interface Evaluator {
  configure(settings: string): void;
  /** As many results as observations, in the same order. */
  evaluate(batch: Observation[]): Judgement[];
}
