"""Who grades, how often, at what temperatures, and what it may cost."""

import json
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from vipbench.endpoints.endpoint import Endpoint, Purpose
from vipbench.endpoints.meter import Limits
from vipbench.errors import JudgeError, JudgeStopped
from vipbench.judge.rubric import OWN_PROMPT, Prompt
from vipbench.runfolder.judge_file import Judge
from vipbench.schema import Record

JUDGE = Purpose(
    name="judge",
    option_prefix="--judge-",
    key_variables=("VIPBENCH_JUDGE_KEY", "OPENAI_API_KEY"),
    error=JudgeError,
    stopped=JudgeStopped,
)
N_RUNS = 5
"""As in the paper; the released evaluator is set to 1 (`num_run`)."""
WORKERS = 8
TEMPERATURE = 0.0
PUBLISHED_TOKENS = 3
"""These two as in the released evaluator."""
MAX_TOKENS = 64
"""Room for a grade in whatever it is wrapped in; the three published tokens cut `0.8` where the
tokenizer makes four of it, and a reply that is cut is no grade."""
REASONING_TOKENS = 4096
"""Room for what a judge thinks before, used by those alone that think. Ours: with less, open judges
that think by default may not come to their grade."""
TIMEOUT, TIMEOUT_THINKING = 60.0, 600.0
"""Seconds until a reply must be there, without and with room to think: 7 tokens a second."""
GIVE_UP_AFTER = 5
TEMPERATURES = (TEMPERATURE, 0.0, 0.5, 1.0, 1.5)
"""Of the first question, and of each further one where the reply was no score. The released
evaluator asks once more, at 2.0, never reads that reply and takes 0; here the sample stays without
a grade. Its further questions name the mark as `<obj>`, which is an oversight: here they repeat the
question as it was."""


class JudgeSettings(Record):
    """Who grades, how often, and what it may cost; JudgeError for limits that cannot be kept."""

    endpoint: Endpoint
    """Of the purpose `JUDGE`."""
    prompt: Prompt = OWN_PROMPT
    max_tokens: int = Field(default=MAX_TOKENS, ge=1)
    """Of a reply."""
    reasoning_tokens: int = Field(default=REASONING_TOKENS, ge=0)
    """Room for what a judge thinks before its reply."""
    n_runs: int = Field(default=N_RUNS, ge=1)
    workers: int = Field(default=WORKERS, ge=1)
    """Calls that are under way at once."""
    limits: Limits = Limits()
    ledger: Path | None = None
    """File of grades; None: `grades.jsonl` in the run folder."""
    give_up_after: int = Field(default=GIVE_UP_AFTER, ge=1)
    """Questions in a row without any reply, or first ones without a grade, after which grading
    stops."""

    @model_validator(mode="after")
    def _limited(self) -> Self:
        self.limits.check(JUDGE)
        return self

    @property
    def judge(self) -> Judge:
        """What the grades are keyed by, as far as it is known before the server is asked."""
        extra = self.endpoint.extra_body
        return Judge(
            model=self.endpoint.model,
            prompt_digest=self.prompt.digest,
            temperature=TEMPERATURE,
            max_tokens=self.max_tokens,
            reasoning_tokens=self.reasoning_tokens,
            extra_body=json.dumps(extra, sort_keys=True) if extra else None,
        )
