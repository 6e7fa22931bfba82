"""The policy of @NAME@."""

from componentize_py_types import Err, Ok, Result
from wit_world.imports.types import (
    Decision,
    Failure,
    Failure_Unsupported,
    Health,
    Observation,
    Participation,
    Reason,
    Response,
)

from guard import Refused, guarded


def configure(settings: str) -> None:
    """Once for each new instance, before anything else. `settings` is JSON."""
    if settings.strip() != "{}":
        raise Refused(f"@NAME@ has no settings, but was given {settings}")


def decide(seen: Observation) -> Result[Decision, Failure]:
    """Judges one observation, and must depend on nothing else. What it raises becomes a failure."""
    answer = next((answer for answer in seen.answers if answer.source == "health"), None)
    if answer is None:
        return Err(Failure_Unsupported("there is no source `health`"))
    if isinstance(answer.outcome, Err):
        return Ok(decision(Health.UNKNOWN, None, Participation.PROCEED, "no-answer", "it does not answer"))
    return Ok(judge(answer.outcome.value))


def judge(response: Response) -> Decision:
    if response.status == 0:
        # A TCP probe: all there is to know is that the port is open.
        return decision(Health.HEALTHY, 0, Participation.PROCEED, "ok", "its port is open")
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


# What the host calls.
Evaluator = guarded(configure, decide)
