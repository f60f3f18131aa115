"""What the user may say of a judge, as the options of a command."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from vipbench.endpoints import extras
from vipbench.errors import JudgeError
from vipbench.judge.rubric import PUBLISHED_JUDGE
from vipbench.judge.settings import (
    JUDGE,
    MAX_TOKENS,
    N_RUNS,
    PUBLISHED_TOKENS,
    REASONING_TOKENS,
    TIMEOUT,
    TIMEOUT_THINKING,
    WORKERS,
)
from vipbench.option import Option
from vipbench.schema import Record


def parse_price(text: str) -> tuple[float, float]:
    """Read `IN,OUT`; JudgeError where it is not two numbers from 0."""
    return extras.parse_price(text, JUDGE)


KNOWN_JUDGES = (
    "Qwen/Qwen2.5-72B-Instruct (open; revision 495f39366efef23836d0cfae4fbe635880d2be31)",
    "Qwen/Qwen3-32B (open; it thinks first)",
    "gpt-4.1-2025-04-14 (until 2027-01-14)",
)
"""Such as may be asked: an open one first, whose weights stay what they are."""


def no_model() -> JudgeError:
    """Return the error of a judge that is not named."""
    return JudgeError(
        f"--judge-url: says where, not who grades · {PUBLISHED_JUDGE}, the judge of the published "
        "numbers, was shut down on 2026-10-23, so no judge is taken by default · add "
        f"--judge-model NAME, such as {'; '.join(KNOWN_JUDGES)} · `vipbench judge calibrate` "
        "tells how a judge differs from the published one"
    )


def parse_body(text: str) -> dict[str, Any]:
    """Read a JSON object of further fields of each request; JudgeError where it is none."""
    return extras.parse_extra_body(text, JUDGE)


class JudgeOptions(Record):
    """Who grades, how often, and what it may cost; None: not said."""

    url: Annotated[
        str | None,
        Option(
            "OpenAI-compatible endpoint, such as https://api.openai.com/v1.",
            metavar="URL",
            unset="no judge",
        ),
    ] = None
    model: Annotated[
        str | None,
        Option(
            "Who grades, as the server calls it; there is no default.", metavar="NAME", unset="none"
        ),
    ] = None
    key_file: Annotated[
        Path | None,
        Option(
            "File that holds the key and nothing else.",
            metavar="PATH",
            unset=" or ".join(JUDGE.key_variables),
        ),
    ] = None
    key_env: Annotated[
        str | None,
        Option(
            "Environment variable that holds the key, for whatever address.",
            metavar="NAME",
            unset=" or ".join(JUDGE.key_variables),
        ),
    ] = None
    prompt_from: Annotated[
        Path | None,
        Option(
            "Your copy of vip-bench_evaluator.py; it is read, not run.",
            metavar="PATH",
            unset="a rubric of vipbench, not comparable",
        ),
    ] = None
    runs: Annotated[
        int | None,
        Field(ge=1),
        Option("How often each answer is graded.", metavar="N", unset=f"{N_RUNS}"),
    ] = None
    max_tokens: Annotated[
        int | None,
        Field(ge=1),
        Option(
            f"Most tokens of a reply; published are {PUBLISHED_TOKENS}.",
            metavar="N",
            unset=f"{MAX_TOKENS}",
        ),
    ] = None
    reasoning_tokens: Annotated[
        int | None,
        Field(ge=0),
        Option("Room for what the judge thinks before.", metavar="N", unset=f"{REASONING_TOKENS}"),
    ] = None
    extra_body: Annotated[
        dict[str, Any] | None,
        Option(
            "Further fields of each request, such as "
            '{"chat_template_kwargs": {"enable_thinking": false}}.',
            metavar="JSON",
            parse=parse_body,
        ),
    ] = None
    timeout: Annotated[
        float | None,
        Field(gt=0),
        Option(
            "Seconds until a reply must be there.",
            metavar="S",
            unset=f"{TIMEOUT_THINKING:g}, {TIMEOUT:g} without room to think",
        ),
    ] = None
    workers: Annotated[
        int | None, Field(ge=1, le=256), Option("Calls at a time.", metavar="N", unset=f"{WORKERS}")
    ] = None
    price: Annotated[
        tuple[float, float] | None,
        Option(
            "Dollars for a million tokens of prompts and of replies.",
            metavar="IN,OUT",
            parse=parse_price,
        ),
    ] = None
    budget: Annotated[
        float | None,
        Field(ge=0),
        Option("Most dollars that this command may spend.", metavar="USD"),
    ] = None
    max_calls: Annotated[
        int | None,
        Field(ge=0),
        Option("Most calls that this command may make.", metavar="N"),
    ] = None
    ledger: Annotated[
        Path | None,
        Option(
            "File of grades, which several runs may share.",
            metavar="PATH",
            unset="grades.jsonl in the run folder",
        ),
    ] = None
