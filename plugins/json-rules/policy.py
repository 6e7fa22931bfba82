"""Decides by rules from the settings: JSON Pointers into the application's answer, first match wins.

What cannot be said safely is refused when the settings are checked, not while judging: no regular
expressions, no arithmetic, a bounded number of rules.
"""

import json
import re

from componentize_py_types import Err, Ok, Result
from wit_world.exports import Evaluator as EvaluatorExport
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

from rules import Refused, Settings, outcome


# Deepest nesting of an answer.
DEPTH_MAX = 64


class Evaluator(EvaluatorExport):
    def configure(self, settings: str) -> None:
        global SETTINGS
        try:
            SETTINGS = Settings.parse(settings)
        except Refused as why:
            raise Err(str(why))

    def evaluate(self, batch: list[Observation]) -> list[Result[Decision, Failure]]:
        return [guarded(seen) for seen in batch]


SETTINGS: Settings | None = None


def guarded(seen: Observation) -> Result[Decision, Failure]:
    try:
        return decide(seen)
    except Exception as error:
        return Err(Failure_Internal(f"{type(error).__name__}: {error}"))


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
        if rule.condition.holds(document):
            return Ok(outcome(rule.then, f"rule {place + 1}: {rule.condition}"))
    if settings.otherwise is None:
        return Err(Failure_Unreadable("no rule matches, and the settings have no `otherwise`"))
    return Ok(outcome(settings.otherwise, "no rule matches"))


BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)


def too_deep(body: bytes) -> bool:
    """Whether brackets outside of texts are nested deeper than the limit."""
    # Nearly every answer has too few brackets for that, nested or not.
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return False
    depth = 0
    for found in BRACKETS.finditer(body):
        bracket = found.group()
        if bracket in (b"[", b"{"):
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif bracket in (b"]", b"}"):
            depth -= 1
    return False


def parse(body: bytes) -> object:
    if too_deep(body):
        # The parser calls itself, and would run out of stack.
        raise ValueError(f"it is nested deeper than {DEPTH_MAX}")

    def refuse(word: str) -> object:
        raise ValueError(f"{word} is not JSON")

    return json.loads(body.decode("utf-8"), parse_constant=refuse)


def no_answer(answer: Answer) -> str:
    failure = answer.outcome.value
    if isinstance(failure, ProbeFailure_Timeout):
        return "no complete answer in time"
    detail = getattr(failure, "value", "")
    return f"{type(failure).__name__.removeprefix('ProbeFailure_').lower()}: {detail}"
