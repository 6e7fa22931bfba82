"""The policy of @NAME@."""

from componentize_py_types import Err, Ok, Result
from wit_world.exports import Evaluator as EvaluatorExport
from wit_world.imports.types import (
    Decision,
    Failure,
    Failure_Internal,
    Failure_Unsupported,
    Health,
    Observation,
    Participation,
    Reason,
    Response,
)


class Evaluator(EvaluatorExport):
    def configure(self, settings: str) -> None:
        """Once for each new instance, before anything else. `settings` is JSON."""
        try:
            configure(settings)
        except Exception as error:
            # Any other exception would end the instance, and nobody would read its text.
            raise Err(f"{type(error).__name__}: {error}")

    def evaluate(self, batch: list[Observation]) -> list[Result[Decision, Failure]]:
        """As many results as observations, in the same order; each depends on its own alone."""
        return [guarded(seen) for seen in batch]


def configure(settings: str) -> None:
    """Takes the settings, or raises an exception that says what is wrong with them."""
    if settings.strip() != "{}":
        raise ValueError(f"@NAME@ has no settings, but was given {settings}")


def guarded(seen: Observation) -> Result[Decision, Failure]:
    """An exception would cost the whole batch its answers, and nobody would read its text."""
    try:
        return decide(seen)
    except Exception as error:
        return Err(Failure_Internal(f"{type(error).__name__}: {error}"))


def decide(seen: Observation) -> Result[Decision, Failure]:
    answer = next((answer for answer in seen.answers if answer.source == "health"), None)
    if answer is None:
        return Err(Failure_Unsupported("there is no source `health`"))
    if isinstance(answer.outcome, Err):
        return Ok(decision(Health.UNKNOWN, None, Participation.PROCEED, "no-answer", "it does not answer"))
    return Ok(judge(answer.outcome.value))


def judge(response: Response) -> Decision:
    if not 200 <= response.status < 300:
        detail = f"HTTP status {response.status}"
        return decision(Health.UNHEALTHY, None, Participation.PROCEED, "http-status", detail)
    if response.body.startswith(b"busy"):
        return decision(Health.HEALTHY, 0, Participation.DEFER, "busy", "it says that it is busy")
    return decision(Health.HEALTHY, 0, Participation.PROCEED, "ok", "it answers")


def decision(
    health: Health, phase: int | None, participation: Participation, code: str, detail: str
) -> Decision:
    # `memory` is handed back with the next observation of this instance; nothing else survives.
    return Decision(health, phase, participation, Reason(code, detail), memory=None, attributes=[])
