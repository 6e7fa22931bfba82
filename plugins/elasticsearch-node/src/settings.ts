// The settings of elasticsearch-node, checked once. What is thrown is shown to the operator.

export interface Settings {
  nodeLabel: string | undefined;
  relocatingMax: number;
  unassignedMax: number;
}

const KNOWN = ["nodeLabel", "relocatingMax", "unassignedMax"];

function whole(typed: Record<string, unknown>, name: string, otherwise: number): number {
  const value = typed[name] ?? otherwise;
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0 || value > 100000) {
    throw `${name} is ${JSON.stringify(value)}, expected a whole number from 0 to 100000`;
  }
  return value;
}

export function readSettings(text: string): Settings {
  const typed = JSON.parse(text) as Record<string, unknown> | null;
  if (typed === null || typeof typed !== "object" || Array.isArray(typed)) throw "the settings are no object";
  for (const name of Object.keys(typed)) {
    if (!KNOWN.includes(name)) throw `unknown setting ${name}; known are ${KNOWN.join(", ")}`;
  }
  const nodeLabel = typed.nodeLabel;
  if (nodeLabel !== undefined && (typeof nodeLabel !== "string" || nodeLabel.length < 1 || nodeLabel.length > 128)) {
    throw `nodeLabel is ${JSON.stringify(nodeLabel)}, expected the name of a label`;
  }
  return {
    nodeLabel,
    relocatingMax: whole(typed, "relocatingMax", 0),
    unassignedMax: whole(typed, "unassignedMax", 0),
  };
}
