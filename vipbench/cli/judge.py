"""Options that name a judge, and the settings that they make."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vipbench.cli.printing import say
from vipbench.errors import JudgeError

if TYPE_CHECKING:
    from vipbench.judge.settings import JudgeSettings

PANEL = "Judge of graded tasks (ViP-Bench)"

Url = Annotated[
    str | None,
    typer.Option(
        "--judge-url",
        metavar="URL",
        help="OpenAI-compatible endpoint, such as https://api.openai.com/v1.",
        show_default="no judge",
        rich_help_panel=PANEL,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--judge-model",
        metavar="NAME",
        help="Who grades.",
        show_default="gpt-4-0613",
        rich_help_panel=PANEL,
    ),
]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--judge-key-file",
        metavar="PATH",
        help="File that holds the key and nothing else.",
        show_default="VIPBENCH_JUDGE_KEY or OPENAI_API_KEY",
        rich_help_panel=PANEL,
    ),
]
PromptFrom = Annotated[
    Path | None,
    typer.Option(
        "--judge-prompt-from",
        metavar="PATH",
        help="Your copy of vip-bench_evaluator.py; it is read, not run.",
        show_default="a rubric of vipbench, not comparable",
        rich_help_panel=PANEL,
    ),
]
Runs = Annotated[
    int | None,
    typer.Option(
        "--judge-runs",
        metavar="N",
        min=1,
        help="How often each answer is graded.",
        show_default="5",
        rich_help_panel=PANEL,
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        "--judge-workers",
        metavar="N",
        min=1,
        max=256,
        help="Calls at a time.",
        show_default="8",
        rich_help_panel=PANEL,
    ),
]
Price = Annotated[
    str | None,
    typer.Option(
        "--judge-price",
        metavar="IN,OUT",
        help="Dollars for a million tokens of prompts and of replies.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
Budget = Annotated[
    float | None,
    typer.Option(
        "--judge-budget",
        metavar="USD",
        min=0,
        help="Most dollars that this command may spend.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
MaxCalls = Annotated[
    int | None,
    typer.Option(
        "--judge-max-calls",
        metavar="N",
        min=0,
        help="Most calls that this command may make.",
        show_default=False,
        rich_help_panel=PANEL,
    ),
]
LedgerPath = Annotated[
    Path | None,
    typer.Option(
        "--judge-ledger",
        metavar="PATH",
        help="File of grades, which several runs may share.",
        show_default="grades.jsonl in the run folder",
        rich_help_panel=PANEL,
    ),
]


def judge_settings(
    *,
    url: str | None,
    model: str | None,
    key_file: Path | None,
    prompt_from: Path | None,
    runs: int | None,
    workers: int | None,
    price: str | None,
    budget: float | None,
    max_calls: int | None,
    ledger: Path | None,
) -> "JudgeSettings | None":
    """Return who is to grade; None without `--judge-url`.

    Raises:
        JudgeError: An option is wrong, or is given without `--judge-url` (but for `ledger`).
    """
    if url is None:
        given = {
            "--judge-model": model,
            "--judge-key-file": key_file,
            "--judge-prompt-from": prompt_from,
            "--judge-runs": runs,
            "--judge-workers": workers,
            "--judge-price": price,
            "--judge-budget": budget,
            "--judge-max-calls": max_calls,
        }
        alone = [name for name, value in given.items() if value is not None]
        if alone:
            raise JudgeError(f"{', '.join(alone)}: no judge to ask; give --judge-url too")
        return None
    from vipbench.endpoints.endpoint import Endpoint
    from vipbench.endpoints.keys import find_key
    from vipbench.endpoints.meter import Limits
    from vipbench.judge import settings as judge
    from vipbench.judge.rubric import OWN_PROMPT, PUBLISHED_JUDGE, read_evaluator

    key, source = find_key(key_file, os.environ, judge.JUDGE)
    endpoint = Endpoint(purpose=judge.JUDGE, url=url, model=model or PUBLISHED_JUDGE, key=key)
    say(f"judge: key from {source}" if source else "judge: no key is sent")
    return judge.JudgeSettings(
        endpoint=endpoint,
        prompt=OWN_PROMPT if prompt_from is None else read_evaluator(prompt_from),
        n_runs=runs or judge.N_RUNS,
        workers=workers or judge.WORKERS,
        limits=Limits(price=parse_price(price), budget=budget, max_calls=max_calls),
        ledger=ledger,
    )


def parse_price(text: str | None) -> tuple[float, float] | None:
    """Read `IN,OUT`; JudgeError where it is no two numbers from 0."""
    if text is None:
        return None
    try:
        price = [float(part) for part in text.split(",")]
    except ValueError:
        price = []
    if len(price) != 2 or not all(0 <= each < float("inf") for each in price):
        raise JudgeError(
            f"--judge-price {text!r}: expected two numbers from 0, dollars for a million tokens of "
            "prompts and of replies, such as 30,60"
        )
    return price[0], price[1]
