"""Decides by rules from the settings: JSON Pointers into the application's answer, first match wins.

What cannot be said safely is refused when the settings are checked, not while judging: no regular
expressions, no arithmetic, a bounded number of rules.
"""

import json

from componentize_py_types import Err, Ok, Result
from wit_world.imports.types import (
    Answer,
    Decision,
    Failure,
    Failure_Internal,
    Failure_Unreadable,
    Failure_Unsupported,
    Observation,
    ProbeFailure_Timeout,
)

from guard import guarded
from rules import Settings, Unknown, outcome

# Deepest nesting of an answer.
DEPTH_MAX = 64
NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b'[]{}"')

SETTINGS: Settings | None = None


def configure(text: str) -> None:
    global SETTINGS
    SETTINGS = Settings.parse(text)


def decide(seen: Observation) -> Result[Decision, Failure]:
    settings = SETTINGS
    if settings is None:
        return Err(Failure_Internal("evaluated before `configure` succeeded"))
    answer = next((answer for answer in seen.answers if answer.source == settings.source), None)
    if answer is None:
        return Err(Failure_Unsupported(f"there is no source `{settings.source}`"))
    if isinstance(answer.outcome, Err):
        return Ok(outcome(settings.no_answer, no_answer(answer)))
    response = answer.outcome.value
    if response.status == 0:
        return Err(Failure_Unsupported("a TCP probe brings no document; probe with http or https"))
    if not 200 <= response.status < 300:
        return Ok(outcome(settings.bad_status, f"HTTP status {response.status}"))
    try:
        document = parse(response.body)
    except ValueError as why:
        return Err(Failure_Unreadable(f"the answer is no JSON: {why}"))
    for place, rule in enumerate(settings.rules):
        holds = rule.condition.holds(document)
        if isinstance(holds, Unknown):
            # It may be the first that matches, so no later one may decide.
            return Err(Failure_Unreadable(f"rule {place + 1} cannot be decided: {holds.why}"))
        if holds:
            return Ok(outcome(rule.then, f"rule {place + 1}: {rule.condition}"))
    if settings.otherwise is None:
        return Err(Failure_Unreadable("no rule matches, and the settings have no `otherwise`"))
    return Ok(outcome(settings.otherwise, "no rule matches"))


def too_deep(body: bytes) -> bool:
    """Whether brackets outside of texts are nested deeper than the limit, or do not match.

    A loop or a regular expression over the brackets costs several times what the parser does.
    """
    # Nearly every answer has too few brackets for that, nested or not.
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return False
    if b"\\" in body:
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    # A text without brackets leaves two quotes side by side. If no quote is left without them,
    # no bracket stood within a text: an even number of quotes is before each.
    rest = body.translate(None, NO_BRACKETS).replace(b'""', b"")
    if b'"' in rest:
        rest = b"".join(body.split(b'"')[::2]).translate(None, NO_BRACKETS)
    for _ in range(DEPTH_MAX):
        # Each round takes away the innermost pairs.
        shorter = rest.replace(b"[]", b"").replace(b"{}", b"")
        if len(shorter) == len(rest):
            break
        rest = shorter
    return bool(rest)


def parse(body: bytes) -> object:
    if too_deep(body):
        # The parser calls itself, and would run out of stack.
        raise ValueError(f"it is nested deeper than {DEPTH_MAX}, or its brackets do not match")

    def refuse(word: str) -> object:
        raise ValueError(f"{word} is not JSON")

    return json.loads(body.decode("utf-8"), parse_constant=refuse)


def no_answer(answer: Answer) -> str:
    failure = answer.outcome.value
    if isinstance(failure, ProbeFailure_Timeout):
        return "no complete answer in time"
    detail = getattr(failure, "value", "")
    return f"{type(failure).__name__.removeprefix('ProbeFailure_').lower()}: {detail}"


# What the host calls.
Evaluator = guarded(configure, decide)
