"""The settings of json-rules: checked once, then only looked at."""

import json
import re
from dataclasses import dataclass

from wit_world.imports.types import Decision, Health, Participation, Reason

from guard import Refused

RULES_MAX = 100
DEPTH_MAX = 8
POINTER_MAX = 512
PHASE_MAX = 2_147_483_647
TESTS = ("equals", "oneOf", "above", "below", "present", "type")
TYPES = ("null", "boolean", "number", "string", "array", "object")
GROUPS = ("all", "any", "not")
HEALTH = {"healthy": Health.HEALTHY, "unhealthy": Health.UNHEALTHY, "unknown": Health.UNKNOWN}
PARTICIPATION = {
    "proceed": Participation.PROCEED,
    "skip": Participation.SKIP,
    "defer": Participation.DEFER,
}


class Missing:
    """What a pointer that leads nowhere finds."""


@dataclass
class Unknown:
    """Neither true nor false: a value is missing or of another type. Not the same under `not`."""

    why: str


@dataclass
class Outcome:
    health: Health
    phase: int | None
    participation: Participation
    code: str
    detail: str | None


@dataclass
class Test:
    pointer: str
    steps: list[str]
    test: str
    value: object

    def holds(self, document: object) -> "bool | Unknown":
        found = follow(document, self.steps)
        if self.test == "present":
            return (found is not Missing) == self.value
        if self.test == "type":
            return found is not Missing and type_of(found) == self.value
        if found is Missing:
            return self.unknown("is missing")
        if self.test in ("above", "below"):
            if type_of(found) != "number":
                return self.unknown(f"is {show(found)}")
            return found > self.value if self.test == "above" else found < self.value
        wanted = self.value if self.test == "oneOf" else [self.value]
        if any(same(found, each) for each in wanted):
            return True
        # Whether something is null can be said of every value.
        if any(each is None or type_of(each) == type_of(found) for each in wanted):
            return False
        return self.unknown(f"is {show(found)}")

    def unknown(self, what: str) -> "Unknown":
        return Unknown(f"{self.pointer or 'the document'} {what}, so `{self.test} {json.dumps(self.value)}` is unknown")

    def __str__(self) -> str:
        return f"{self.pointer or 'the document'} {self.test} {json.dumps(self.value)}"


@dataclass
class Group:
    kind: str
    members: list["Test | Group"]

    def holds(self, document: object) -> "bool | Unknown":
        if self.kind == "not":
            holds = self.members[0].holds(document)
            return holds if isinstance(holds, Unknown) else not holds
        # What settles the group, whatever the unknown ones are.
        settles = self.kind == "any"
        unknown = None
        for member in self.members:
            holds = member.holds(document)
            if isinstance(holds, Unknown):
                unknown = unknown or holds
            elif holds == settles:
                return settles
        return unknown or not settles

    def __str__(self) -> str:
        if self.kind == "not":
            return f"not ({self.members[0]})"
        return (" and " if self.kind == "all" else " or ").join(f"({member})" for member in self.members)


@dataclass
class Rule:
    condition: Test | Group
    then: Outcome


@dataclass
class Settings:
    source: str
    rules: list[Rule]
    otherwise: Outcome | None
    bad_status: Outcome
    no_answer: Outcome

    @staticmethod
    def parse(text: str) -> "Settings":
        typed = json.loads(text)
        known(typed, "settings", ("source", "rules", "otherwise", "badStatus", "noAnswer"))
        source = typed.get("source", "health")
        if not isinstance(source, str) or not source:
            raise Refused("source must be a text")
        rules = typed.get("rules")
        if not isinstance(rules, list) or not 1 <= len(rules) <= RULES_MAX:
            raise Refused(f"rules must be a list of 1 to {RULES_MAX} rules")
        otherwise = typed.get("otherwise")
        return Settings(
            source,
            [read_rule(rule, f"rules[{place}]") for place, rule in enumerate(rules)],
            None if otherwise is None else read_outcome(otherwise, "otherwise", "otherwise"),
            read_outcome(typed.get("badStatus", {"health": "unhealthy"}), "badStatus", "http-status"),
            read_outcome(
                typed.get("noAnswer", {"health": "unknown", "participation": "defer"}), "noAnswer", "no-answer"
            ),
        )


def known(typed: object, place: str, keys: tuple[str, ...]) -> None:
    if not isinstance(typed, dict):
        raise Refused(f"{place} must be an object")
    for key in typed:
        if key not in keys:
            raise Refused(f"{place}.{key} is unknown; known are {', '.join(keys)}")


def read_rule(typed: object, place: str) -> Rule:
    known(typed, place, ("when", "then"))
    for key in ("when", "then"):
        if key not in typed:
            raise Refused(f"{place}.{key} is missing")
    condition = read_condition(typed["when"], f"{place}.when", 0)
    return Rule(condition, read_outcome(typed["then"], f"{place}.then", "rule"))


def read_condition(typed: object, place: str, depth: int) -> Test | Group:
    known(typed, place, ("pointer", *TESTS, *GROUPS))
    groups = [key for key in GROUPS if key in typed]
    if groups:
        if len(typed) != 1:
            raise Refused(f"{place} must hold `{groups[0]}` and nothing else")
        if depth == DEPTH_MAX:
            raise Refused(f"{place} is nested deeper than {DEPTH_MAX}")
        kind = groups[0]
        members = [typed[kind]] if kind == "not" else typed[kind]
        if not isinstance(members, list) or not members:
            raise Refused(f"{place}.{kind} must be a list of conditions")
        place = f"{place}.{kind}"
        return Group(kind, [read_condition(member, place, depth + 1) for member in members])
    return read_test(typed, place)


def read_test(typed: dict, place: str) -> Test:
    tests = [key for key in TESTS if key in typed]
    if "pointer" not in typed or len(tests) != 1:
        raise Refused(f"{place} needs `pointer` and one of {', '.join(TESTS)}")
    pointer, test = typed["pointer"], tests[0]
    if not isinstance(pointer, str) or len(pointer) > POINTER_MAX or (pointer and pointer[0] != "/"):
        raise Refused(f"{place}.pointer must be a JSON Pointer such as /role, at most {POINTER_MAX} characters")
    if re.search("~(?![01])", pointer):
        raise Refused(f"{place}.pointer is {pointer}; in a JSON Pointer ~ is written ~0, and / within a name ~1")
    value = typed[test]
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if test in ("above", "below") and not number:
        raise Refused(f"{place}.{test} must be a number")
    if test == "oneOf" and not (isinstance(value, list) and value):
        raise Refused(f"{place}.oneOf must be a list of values")
    if test == "present" and not isinstance(value, bool):
        raise Refused(f"{place}.present must be true or false")
    if test == "type" and value not in TYPES:
        raise Refused(f"{place}.type must be one of {', '.join(TYPES)}")
    steps = [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]
    return Test(pointer, steps, test, value)


def read_outcome(typed: object, place: str, code: str) -> Outcome:
    known(typed, place, ("health", "phase", "participation", "code", "detail"))
    health, participation = typed.get("health", "healthy"), typed.get("participation", "proceed")
    if health not in HEALTH:
        raise Refused(f"{place}.health must be one of {', '.join(HEALTH)}")
    if participation not in PARTICIPATION:
        raise Refused(f"{place}.participation must be one of {', '.join(PARTICIPATION)}")
    phase = typed.get("phase")
    if phase is not None and (isinstance(phase, bool) or not isinstance(phase, int) or not 0 <= phase <= PHASE_MAX):
        raise Refused(f"{place}.phase must be a whole number from 0 to {PHASE_MAX}")
    code, detail = typed.get("code", code), typed.get("detail")
    if not isinstance(code, str) or not 1 <= len(code) <= 64 or not set(code) <= set("abcdefghijklmnopqrstuvwxyz0123456789-"):
        raise Refused(f"{place}.code must be lower-case letters, digits and hyphens, at most 64")
    if detail is not None and not isinstance(detail, str):
        raise Refused(f"{place}.detail must be a text")
    return Outcome(HEALTH[health], phase, PARTICIPATION[participation], code, detail)


INDEX = re.compile("0|[1-9][0-9]{0,5}")


def follow(document: object, steps: list[str]) -> object:
    for step in steps:
        if isinstance(document, dict) and step in document:
            document = document[step]
        elif isinstance(document, list) and INDEX.fullmatch(step) and int(step) < len(document):
            document = document[int(step)]
        else:
            return Missing
    return document


def type_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return {str: "string", list: "array"}.get(type(value), "object")


def show(value: object) -> str:
    """A found value with its type, short; the answer may be hostile."""
    kind = type_of(value)
    if kind in ("null", "array", "object"):
        return kind
    # Not more digits than anyone reads: long numbers take long to write.
    if isinstance(value, int) and value.bit_length() > 128:
        return "a number of many digits"
    return f"the {kind} {json.dumps(value[:40] if isinstance(value, str) else value)}"


def same(found: object, wanted: object) -> bool:
    """Equal as JSON: true is not 1, and 1 is 1.0."""
    if isinstance(found, bool) or isinstance(wanted, bool):
        return found is wanted
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[key], wanted[key]) for key in found)
    if isinstance(found, list) and isinstance(wanted, list):
        return len(found) == len(wanted) and all(map(same, found, wanted))
    return found == wanted


def outcome(chosen: Outcome, why: str) -> Decision:
    reason = Reason(chosen.code, chosen.detail or why)
    return Decision(chosen.health, chosen.phase, chosen.participation, reason, memory=None, attributes=[])
