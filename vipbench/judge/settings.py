"""Who grades, how often, at what temperatures, and what it may cost."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from vipbench.endpoints.endpoint import Endpoint, Purpose
from vipbench.endpoints.meter import Limits
from vipbench.errors import JudgeError
from vipbench.judge.rubric import OWN_PROMPT, Prompt
from vipbench.runfolder.judge_file import Judge
from vipbench.schema import Record

JUDGE = Purpose(
    name="judge",
    option_prefix="--judge-",
    key_variables=("VIPBENCH_JUDGE_KEY", "OPENAI_API_KEY"),
    error=JudgeError,
)
N_RUNS = 5
"""As in the paper; the released evaluator is set to 1 (`num_run`)."""
WORKERS = 8
TEMPERATURE = 0.0
MAX_TOKENS = 3
"""These two as in the released evaluator."""
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
    n_runs: int = Field(default=N_RUNS, ge=1)
    workers: int = Field(default=WORKERS, ge=1)
    """Calls that are under way at once."""
    limits: Limits = Limits()
    ledger: Path | None = None
    """File of grades; None: `grades.jsonl` in the run folder."""
    give_up_after: int = Field(default=5, ge=1)
    """Questions in a row without any reply after which grading stops."""

    @model_validator(mode="after")
    def _limited(self) -> Self:
        self.limits.check(JUDGE)
        return self

    @property
    def judge(self) -> Judge:
        """What the grades are keyed by."""
        return Judge(
            model=self.endpoint.model,
            prompt_digest=self.prompt.digest,
            temperature=TEMPERATURE,
            max_tokens=self.max_tokens,
        )
