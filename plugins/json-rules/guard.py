"""Stands between the host and the policy: what goes wrong there becomes a failure of one observation.

An exception that left the component, or an answer of a wrong type, would cost the whole batch its
answers, and nobody would read what was wrong. This file needs no change.
"""

import os
from typing import Callable

from componentize_py_types import Err, Ok, Result
from wit_world.exports import Evaluator
from wit_world.imports.types import (
    Decision,
    Failure,
    Failure_Internal,
    Failure_Unreadable,
    Failure_Unsupported,
    Health,
    Observation,
    Participation,
    Reason,
)

PHASE_MAX = 2_147_483_647
FOLDER = os.path.dirname(__file__)


class Refused(Exception):
    """Settings that do not do; the text is for an operator."""


def guarded(
    configure: Callable[[str], None], decide: Callable[[Observation], Result[Decision, Failure]]
) -> type[Evaluator]:
    """The class that the host calls."""

    class Guarded(Evaluator):
        def configure(self, settings: str) -> None:
            try:
                configure(settings)
            except Refused as why:
                raise Err(clean(str(why)))
            except BaseException as error:
                raise Err(describe(error))

        def evaluate(self, batch: list[Observation]) -> list[Result[Decision, Failure]]:
            return [one(seen) for seen in batch]

    def one(seen: Observation) -> Result[Decision, Failure]:
        try:
            result = decide(seen)
            wrong = fault(result)
        # Also SystemExit, which is no Exception and would end the instance.
        except BaseException as error:
            return Err(Failure_Internal(describe(error)))
        return result if wrong is None else Err(Failure_Internal(clean(wrong)))

    return Guarded


def describe(error: BaseException) -> str:
    """Type, text and the last line of the author's own files."""
    place = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if os.path.dirname(file) == FOLDER and file != __file__:
            place = f" ({os.path.basename(file)}:{trace.tb_lineno})"
        trace = trace.tb_next
    try:
        text = str(error)
    except Exception:
        text = "its text cannot be made"
    return clean(f"{type(error).__name__}: {text}{place}")


def clean(text: str) -> str:
    """A lone surrogate has no UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def fault(result: object) -> str | None:
    """What is wrong with a result, naming the member and its value."""
    if isinstance(result, Err):
        failure = result.value
        if not isinstance(failure, (Failure_Unreadable, Failure_Unsupported, Failure_Internal)):
            return f"the policy answered Err of {show(failure)}; expected Failure_Unreadable, _Unsupported or _Internal"
        return fault_of_text("the failure's text", failure.value)
    if not isinstance(result, Ok) or not isinstance(result.value, Decision):
        what = f"Ok of {show(result.value)}" if isinstance(result, Ok) else show(result)
        return f"the policy answered {what}; expected Ok(Decision(...)) or Err(Failure_...(...))"
    return fault_of_decision(result.value)


def fault_of_decision(decision: Decision) -> str | None:
    phase, reason = decision.phase, decision.reason
    if not isinstance(decision.health, Health):
        return f"health is {show(decision.health)}; expected a Health"
    if not isinstance(decision.participation, Participation):
        return f"participation is {show(decision.participation)}; expected a Participation"
    if phase is not None and (type(phase) is not int or not 0 <= phase <= PHASE_MAX):
        return f"phase is {show(phase)}; expected None or a whole number from 0 to {PHASE_MAX}"
    if decision.memory is not None and not isinstance(decision.memory, bytes):
        return f"memory is {show(decision.memory)}; expected None or bytes"
    if reason is not None:
        if not isinstance(reason, Reason):
            return f"reason is {show(reason)}; expected None or a Reason"
        wrong = fault_of_text("reason.code", reason.code) or fault_of_text("reason.detail", reason.detail)
        if wrong is not None:
            return wrong
    return fault_of_attributes(decision.attributes)


def fault_of_attributes(attributes: object) -> str | None:
    if not isinstance(attributes, list):
        return f"attributes is {show(attributes)}; expected a list"
    for pair in attributes:
        if not isinstance(pair, tuple) or len(pair) != 2:
            return f"attributes has {show(pair)}; expected pairs of texts"
        wrong = fault_of_text("a name in attributes", pair[0]) or fault_of_text("a value in attributes", pair[1])
        if wrong is not None:
            return wrong
    return None


def fault_of_text(place: str, text: object) -> str | None:
    if not isinstance(text, str):
        return f"{place} is {show(text)}; expected a text"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        return f"{place} has a lone surrogate at {error.start}: {show(text)}"
    return None


def show(value: object) -> str:
    """A value with its type, short: a policy may answer anything."""
    if value is None:
        return "None"
    text = repr(value) if isinstance(value, (str, bytes, int, float)) else ""
    return f"{type(value).__name__} {text[:60]}".rstrip()
