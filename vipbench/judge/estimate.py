"""What grading will take, told and held against the limits before the first call."""

from collections.abc import Sequence

from vipbench.console import Console
from vipbench.endpoints import estimate
from vipbench.endpoints.estimate import Plan
from vipbench.judge.settings import TEMPERATURES, JudgeSettings


def check_estimate(questions: Sequence[str], settings: JudgeSettings, console: Console) -> None:
    """Say what the calls will take; JudgeError where even the least exceeds a limit."""
    advice = "raise it, or lower --judge-runs"
    estimate.check_estimate(grading_plan(questions, settings), console, advice=advice)


def tell_estimate(questions: Sequence[str], settings: JudgeSettings, console: Console) -> None:
    """Say what the calls will take, and at most."""
    estimate.tell_estimate(grading_plan(questions, settings), console)


def grading_plan(questions: Sequence[str], settings: JudgeSettings) -> Plan:
    """Return what a judge is to be asked, and how often at most."""
    return Plan(
        questions=questions,
        endpoint=settings.endpoint,
        limits=settings.limits,
        answer_tokens=settings.max_tokens,
        reasoning_tokens=settings.reasoning_tokens,
        most_tries=len(TEMPERATURES),
        again="if no reply is a grade and each is asked for again",
    )
