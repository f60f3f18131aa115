"""What the user may say of a judge, as the options of a command."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from vipbench.errors import JudgeError
from vipbench.judge.rubric import PUBLISHED_JUDGE
from vipbench.judge.settings import JUDGE, N_RUNS, WORKERS
from vipbench.option import Option
from vipbench.schema import Record


def parse_price(text: str) -> tuple[float, float]:
    """Read `IN,OUT`; JudgeError where it is not two numbers from 0."""
    try:
        price = [float(part) for part in text.split(",")]
    except ValueError:
        price = []
    if len(price) != 2 or not all(0 <= dollars < float("inf") for dollars in price):
        raise JudgeError(
            f"--judge-price {text!r}: expected two numbers from 0, dollars for a million tokens of "
            "prompts and of replies, such as 30,60"
        )
    return price[0], price[1]


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
    model: Annotated[str | None, Option("Who grades.", metavar="NAME", unset=PUBLISHED_JUDGE)] = (
        None
    )
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
