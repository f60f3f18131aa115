"""What the user asks of a run."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from vipbench.judge.settings import JudgeSettings
from vipbench.runfolder.shard import Shard
from vipbench.schema import (
    AnswerPath,
    DataSource,
    Engine,
    ExtraMetric,
    Fit,
    PromptFormat,
    Record,
    Replay,
)

VIPLLAVA = "vipllava"


class RunSettings(Record):
    """What the user asks for. `schema.checked` turns mistakes into one line."""

    tasks: tuple[str, ...] = ()
    """Names; empty: those of the suite."""
    styles: str | None = None
    """Expression as for `--styles`; None: the suite's, else each task's headline style."""
    suite: str | None = None
    model: str | None = None
    """Checkpoint folder or hub id; None for a baseline."""
    live_model: object | None = None
    """A VipLlava in memory, in place of `model`."""
    processor: object | None = None
    """Of the live model."""
    runner: str = VIPLLAVA
    """Name of a built-in runner or a plugin, or `package.module:Class`; `imported` where there are
    `answers`."""
    answers: dict[str, Path] = Field(default={})
    """Task -> file of answers made elsewhere, which are scored in place of a model's."""
    answers_format: str | None = None
    """One of `formats.FORMATS`; None: told by the content."""
    data: dict[str, DataSource] = Field(default={})
    include: tuple[Path, ...] = ()
    limit: int | None = Field(default=None, ge=1)
    ids: tuple[str, ...] = ()
    seed: int = 0
    subset_seed: int | None = None
    """Draws the samples of `limit`; None: `seed` does."""
    batch_size: Literal["auto"] | Annotated[int, Field(ge=1)] = "auto"
    """Most requests in a batch; `auto`: as many as `token_budget` lets, which is then chosen by the
    device's memory."""
    token_budget: int | None = Field(default=None, ge=1)
    """Most tokens of prompts in a batch, images and padding included; None: see above."""
    dtype: str | None = None
    device: str | None = None
    prompt_format: PromptFormat | None = None
    fit: Fit | None = None
    path: AnswerPath = "fast"
    """How VipLlava answers; `reference` is transformers' plain `generate`."""
    replay: Replay | None = None
    """`official`: answers are sampled where the published script samples."""
    metrics: tuple[ExtraMetric, ...] = ()
    """Reported beside the headline metric, with those of the suite."""
    max_errors: float = Field(default=0.01, ge=0, le=1)
    """Share of a task's samples that may fail, 0-1."""
    workers: int = Field(default=1, ge=1, le=1024)
    """Processes that answer: one a GPU, or one single-threaded one a core; 1 that is `local`: this
    process does."""
    engine: Engine = "local"
    """Where workers are: processes of this machine, or actors on those of a Ray cluster."""
    loaders: Literal["auto"] | Annotated[int, Field(ge=0, le=1024)] = "auto"
    """Processes that load images, for each process that answers; 0: a thread of it does. `auto`:
    none where the model computes on the CPU."""
    shard: Shard | None = None
    """Which of the batches are asked; the shards of a run are put together by `merge`."""
    judge: JudgeSettings | None = None
    """Grades the answers to graded tasks once they are there; None: as an earlier command did."""
    fresh: bool = False
    """Removes what an earlier run left in the run folder."""
    out: Path | None = None
    """The run folder itself; None: `results/runs/<run_id>`. Of a shard: `shard-<i>-of-<n>` in it,
    or behind that name."""

    @property
    def has_workers(self) -> bool:
        """Whether other processes answer, and not this one."""
        return self.workers > 1 or self.engine != "local"
