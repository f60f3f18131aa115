"""The judge that a command is told of: who grades, with which key, and for how much."""

import os
from typing import TYPE_CHECKING

from vipbench.cli.printing import say
from vipbench.errors import JudgeError

if TYPE_CHECKING:
    from vipbench.judge.options import JudgeOptions
    from vipbench.judge.settings import JudgeSettings


def judge_settings(options: "JudgeOptions") -> "JudgeSettings | None":
    """Return who is to grade; None without `--judge-url`.

    Raises:
        JudgeError: An option is wrong, or is given without `--judge-url` (but for `ledger`); or
            that is given without a model.
    """
    if options.url is None:
        others = options.model_dump(exclude={"ledger"}, exclude_none=True)
        if others:
            flags = ", ".join(f"--judge-{name.replace('_', '-')}" for name in others)
            raise JudgeError(f"{flags}: needs a judge · add --judge-url")
        return None
    from vipbench.endpoints.endpoint import Endpoint, base_url
    from vipbench.endpoints.keys import find_key
    from vipbench.endpoints.meter import Limits
    from vipbench.judge import settings as defaults
    from vipbench.judge.options import no_model
    from vipbench.judge.rubric import OWN_PROMPT, read_evaluator
    from vipbench.judge.settings import JUDGE

    url = base_url(options.url, JUDGE)
    if not options.model:
        raise no_model()
    key, source = find_key(options.key_file, os.environ, JUDGE, url=url, variable=options.key_env)
    room = options.reasoning_tokens
    room = defaults.REASONING_TOKENS if room is None else room
    endpoint = Endpoint(
        purpose=JUDGE,
        url=url,
        model=options.model,
        key=key,
        extra_body=options.extra_body or {},
        timeout=options.timeout or (defaults.TIMEOUT_THINKING if room else defaults.TIMEOUT),
    )
    say(f"judge: {source}")
    return defaults.JudgeSettings(
        endpoint=endpoint,
        prompt=OWN_PROMPT if options.prompt_from is None else read_evaluator(options.prompt_from),
        max_tokens=options.max_tokens or defaults.MAX_TOKENS,
        reasoning_tokens=room,
        n_runs=options.runs or defaults.N_RUNS,
        workers=options.workers or defaults.WORKERS,
        limits=Limits(price=options.price, budget=options.budget, max_calls=options.max_calls),
        ledger=options.ledger,
    )
