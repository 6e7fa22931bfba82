// The settings of game-sessions, checked once. What is thrown is shown to the operator.

const DEFAULTS = {
  playersMember: "players",
  matchMember: "match",
  drainingMember: "draining",
  playersMax: 0,
  lockedMatches: ["locked"],
  roundsEmptyMin: 1,
};

function whole(value, name, min, max) {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw `${name} is ${JSON.stringify(value)}, expected a whole number from ${min} to ${max}`;
  }
}

function word(value, name) {
  if (typeof value !== "string" || value.trim().length < 1 || value.length > 128) {
    throw `${name} is ${JSON.stringify(value)}, expected a text of 1 to 128 letters`;
  }
}

/** A state of a match, however it is written. */
export const normalized = (match) => match.trim().toLowerCase();

export function readSettings(text) {
  const typed = JSON.parse(text);
  if (typed === null || typeof typed !== "object" || Array.isArray(typed)) throw "the settings are no object";
  for (const name of Object.keys(typed)) {
    if (!Object.hasOwn(DEFAULTS, name)) {
      throw `unknown setting ${name}; known are ${Object.keys(DEFAULTS).join(", ")}`;
    }
  }
  const settings = { ...DEFAULTS, ...typed };
  word(settings.playersMember, "playersMember");
  word(settings.matchMember, "matchMember");
  word(settings.drainingMember, "drainingMember");
  whole(settings.playersMax, "playersMax", 0, 1000000);
  whole(settings.roundsEmptyMin, "roundsEmptyMin", 1, 255);
  const locked = settings.lockedMatches;
  if (!Array.isArray(locked) || locked.length > 32) throw "lockedMatches must be a list of at most 32 texts";
  locked.forEach((each, place) => word(each, `lockedMatches[${place}]`));
  settings.lockedMatches = locked.map(normalized);
  return settings;
}
