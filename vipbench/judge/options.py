"""What the user may say of a judge, as the options of a command."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from vipbench.endpoints.options import shared_options
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


_SHARED = shared_options(JUDGE, timeouts=(TIMEOUT, TIMEOUT_THINKING), workers=WORKERS)


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
    key_file: Annotated[Path | None, _SHARED.key_file] = None
    key_env: Annotated[str | None, _SHARED.key_env] = None
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
    extra_body: Annotated[dict[str, Any] | None, _SHARED.extra_body] = None
    timeout: Annotated[float | None, Field(gt=0), _SHARED.timeout] = None
    workers: Annotated[int | None, Field(ge=1, le=256), _SHARED.workers] = None
    price: Annotated[tuple[float, float] | None, _SHARED.price] = None
    budget: Annotated[float | None, Field(ge=0), _SHARED.budget] = None
    max_calls: Annotated[int | None, Field(ge=0), _SHARED.max_calls] = None
    ledger: Annotated[
        Path | None,
        Option(
            "File of grades, which several runs may share.",
            metavar="PATH",
            unset="grades.jsonl in the run folder",
        ),
    ] = None
