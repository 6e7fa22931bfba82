// What the engine, the contract and `contract.ts` bring besides the language itself.

declare module "phasegate:policy/log@1.0.0" {
  export type Level = "debug" | "info" | "warn" | "error";
  const log: { write(level: Level, message: string): void };
  export default log;
}

/** Each call writes one line to the host's log. */
declare var console: Record<"debug" | "log" | "info" | "warn" | "error", (...values: unknown[]) => void>;

declare function atob(base64: string): string;

interface Uint8Array {
  toBase64(): string;
}

interface String {
  isWellFormed(): boolean;
  toWellFormed(): string;
}
