"""What the user asks of a run; what the command line and `evaluate` take stands here, once.

A field with an `Option` is an option of `vipbench run`, and of each other command that names it.
"""

import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from vipbench.data.locate import parse_data_options
from vipbench.errors import RunError
from vipbench.extractor.options import ExtractorOptions
from vipbench.extractor.settings import ExtractorSettings
from vipbench.judge.options import JudgeOptions
from vipbench.judge.settings import JudgeSettings
from vipbench.option import (
    ADAPTER,
    BASE,
    DEVICE,
    DTYPE,
    INCLUDE,
    MODEL,
    QUANTIZE,
    Option,
    Options,
)
from vipbench.runfolder.manifest import Blocks
from vipbench.runfolder.name_file import check_name, check_step
from vipbench.runfolder.shard import Shard, parse_shard
from vipbench.runners.endpoint_options import EndpointOptions
from vipbench.schema import (
    AnswerPath,
    DataSource,
    Engine,
    ExtraMetric,
    Fit,
    PromptFormat,
    Quantize,
    Record,
    Replay,
)
from vipbench.scoring.scorers import REPLACED, replaced

VIPLLAVA = "vipllava"
MAX_ERRORS = 0.01
"""Share of a task's samples that may fail, where nothing else is asked for."""
MOST_WORKERS = 1024

Auto = Literal["auto"]


def _auto_or_number(flag: str, least: int, most: int | None = None) -> Callable[[str], int | str]:
    """Return what reads `auto` or a whole number, and raises RunError for anything else."""
    upwards = f"from {least}" if most is None else f"from {least} to {most}"

    def parse(text: str) -> int | str:
        if text == "auto":
            return text
        is_number = re.fullmatch(r"0*[0-9]{1,9}", text)
        if not is_number or not least <= int(text) <= (most or int(text)):
            raise RunError(f"{flag} {text!r}: expected 'auto' or a whole number {upwards}")
        return int(text)

    return parse


def _all_or_number(text: str) -> int | str:
    if text == "all":
        return text
    if not re.fullmatch(r"0*[1-9][0-9]{0,8}", text):
        raise RunError(f"--limit {text!r}: expected a whole number from 1, or 'all'")
    return int(text)


def _shard(text: str) -> Shard:
    return parse_shard(text, os.environ)


class RunSettings(Record):
    """What the user asks for; `validation.checked` turns mistakes into one line."""

    model: Annotated[str | None, MODEL] = None
    """None for a baseline, and where a model in memory answers."""
    name: Annotated[
        str | None,
        Option(
            "What tables call the model.",
            metavar="TEXT",
            unset="after its folder or hub id",
            parse=partial(check_name, where="--name"),
        ),
    ] = None
    step: Annotated[
        int | None,
        Option(
            "Training step of the checkpoint.",
            metavar="N",
            unset="as its folder tells",
            parse=partial(check_step, where="--step"),
        ),
    ] = None
    """None: of `checkpoint-600`, else of `trainer_state.json` in the folder, if there is one."""
    live_model: object | None = Field(
        default=None, description="A VipLlava in memory, in place of `model`."
    )
    processor: object | None = Field(default=None, description="Of the live model.")
    base: Annotated[str | None, BASE] = None
    adapter: Annotated[str | None, ADAPTER] = None
    """Without `model`: onto `base`, else onto what its config names."""
    answers: dict[str, Path] = Field(
        default={},
        description="Task, or task@style -> file of answers made elsewhere, which are scored.",
    )
    answers_format: str | None = Field(
        default=None,
        description="Of `answers`, one of `formats.FORMATS`; None: told by the content.",
    )
    suite: Annotated[
        str | None, Option("Named set of tasks and styles.", metavar="NAME", unset="demo")
    ] = None
    """None: there are only `tasks`; the commands and `evaluate` fill in `demo` where neither is
    named."""
    tasks: Annotated[
        tuple[str, ...],
        Option("Tasks instead of those of the suite; repeatable, or with commas.", metavar="TASK"),
    ] = ()
    styles: Annotated[
        str | None,
        Option(
            "Prompt styles, such as 'demo,blind' or 'rectangle,ellipse x red,blue'.",
            metavar="LIST",
            unset="of the suite or the task",
        ),
    ] = None
    """None: the suite's, else each task's headline style."""
    data: Annotated[
        dict[str, DataSource],
        Option(
            "Where the data of a key lie, or a YAML file {KEY: {questions, images}}; repeatable.",
            metavar="KEY=DIR",
            parse=parse_data_options,
        ),
    ] = Field(default={})
    include: Annotated[tuple[Path, ...], INCLUDE] = ()
    limit: Annotated[
        Literal["all"] | Annotated[int, Field(ge=1)] | None,
        Option(
            "At most this many samples of each task, drawn by the seed.",
            metavar="N|all",
            unset="all",
            parse=_all_or_number,
        ),
    ] = None
    """None: all, or as the run that is extended; `all` is said outright."""
    ids: Annotated[
        tuple[str, ...],
        Option("Only these samples; repeatable, or with commas.", metavar="ID", unset="all"),
    ] = ()
    seed: Annotated[int, Option("Keys every random draw.", metavar="N")] = 0
    subset_seed: int | None = Field(
        default=None, description="Draws the samples of `limit`; None: `seed` does."
    )
    blocks: Blocks | None = Field(
        default=None, description="Cuts the samples up where answers are looked at between."
    )
    """None: the run is planned as a whole."""
    batch_size: Annotated[
        Auto | Annotated[int, Field(ge=1)],
        Option(
            "Requests at a time; auto: as many as fit into memory.",
            metavar="auto|N",
            parse=_auto_or_number("--batch-size", 1),
        ),
    ] = "auto"
    """Most requests in a batch; `auto`: as many as `token_budget` lets, which is then chosen by the
    device's memory."""
    token_budget: Annotated[
        int | None,
        Field(ge=1),
        Option(
            "Most tokens of prompts that are read in a batch, images and padding included.",
            metavar="N",
            unset="chosen by --batch-size",
        ),
    ] = None
    dtype: Annotated[str | None, DTYPE] = None
    quantize: Annotated[Quantize | None, QUANTIZE] = None
    device: Annotated[str | None, DEVICE] = None
    prompt_format: Annotated[
        PromptFormat | None,
        Option("The frame around the user's text.", unset="of suite, model, hf"),
    ] = None
    fit: Annotated[
        Fit | None, Option("How images are brought to the model's square.", unset="of the task")
    ] = None
    runner: Annotated[
        str,
        Option("What answers; `vipbench ls runners`, or package.module:Class.", metavar="NAME"),
    ] = VIPLLAVA
    """`imported` where there are `answers`."""
    path: Annotated[
        AnswerPath,
        Option("How VipLlava answers: as fast as it can, or by plain `generate`."),
    ] = "fast"
    replay: Annotated[
        Replay | None,
        Option("Sample where the published scripts do, at their temperature.", unset="greedy"),
    ] = None
    metrics: Annotated[
        tuple[ExtraMetric, ...],
        Option(
            "Report this metric too (stated, text_match, option_argmax, …); repeatable.",
            metavar="NAME",
            unset="those of the suite",
            flags=("--metric",),
        ),
    ] = ()
    max_errors: Annotated[
        float,
        Field(ge=0, le=1),
        Option("Share of a task's samples that may fail.", metavar="SHARE"),
    ] = MAX_ERRORS
    workers: Annotated[
        Auto | Annotated[int, Field(ge=1, le=MOST_WORKERS)],
        Option(
            "Processes that answer: one a GPU, or one a core of the CPU; auto: on a CPU as many as "
            "are worth it.",
            metavar="auto|N",
            parse=_auto_or_number("--workers", 1, MOST_WORKERS),
        ),
    ] = 1
    """Each is single-threaded on a CPU; 1 that is `local`: this process answers. `auto` is settled
    once it is known what is left to ask; `vipbench run` takes it where nothing is said."""
    engine: Annotated[
        Engine,
        Option("Where the workers are: here, or actors on a Ray cluster (vipbench[ray])."),
    ] = "local"
    no_share: Annotated[
        bool, Option("Read each prompt by itself, though others have its picture and beginning.")
    ] = False
    """Else both are read once, where that saves at least a tenth of the arithmetic."""
    loaders: Annotated[
        Auto | Annotated[int, Field(ge=0, le=1024)],
        Option(
            "Processes that open and mark images; auto: up to 8 a GPU, none on a CPU.",
            metavar="auto|N",
            parse=_auto_or_number("--loaders", 0),
        ),
    ] = "auto"
    """For each process that answers; 0: a thread of it does."""
    shard: Annotated[
        Shard | None,
        Option(
            "Ask every N-th batch from the I-th on; auto: as SLURM or torchrun says.",
            metavar="I/N|auto",
            unset="all",
            parse=_shard,
        ),
    ] = None
    """The shards of a run are put together by `merge`."""
    endpoint: Annotated[EndpointOptions, Options(EndpointOptions)] = Field(
        default=EndpointOptions(),
        description="Which OpenAI-compatible endpoint answers, for runner `openai`.",
    )
    judge: Annotated[JudgeSettings | None, Options(JudgeOptions)] = Field(
        default=None, description="Grades the answers to graded tasks once they are there."
    )
    """None: as an earlier command did."""
    extend: Annotated[bool, Option("Add styles, tasks or samples to the run in -o.")] = False
    """What is left out is as in that run, and what it has answered is not asked again."""
    fresh: Annotated[bool, Option("Redo what an earlier run did.")] = False
    """What is in the run folder is removed."""
    out: Annotated[
        Path | None,
        Option(
            "The run folder.",
            metavar="PATH",
            unset="results/runs/<id of the run>",
            flags=("-o", "--out"),
        ),
    ] = None
    """The folder itself. Of a shard: `shard-<i>-of-<n>` in it, or behind that name."""
    variables: dict[str, str] = Field(
        default={}, description="Environment variables that options came from, for the manifest."
    )

    @field_validator("name", mode="before")
    @classmethod
    def _named(cls, name: object) -> object:
        return None if name is None else check_name(name, "name")

    @field_validator("step", mode="before")
    @classmethod
    def _of_a_training(cls, step: object) -> object:
        return None if step is None else check_step(step, "step")

    @field_validator("metrics", mode="before")
    @classmethod
    def _known_metrics(cls, metrics: object) -> object:
        """Say what to take in place of a metric that is no more."""
        for metric in metrics if isinstance(metrics, list | tuple) else ():
            if isinstance(metric, str) and metric in REPLACED:
                raise ValueError(f"holds what is no more: {replaced(metric)}")
        return metrics

    @property
    def most_samples(self) -> int | None:
        """Samples that are asked of each task, at most; None: all, or as many as the suite says."""
        return None if self.limit == "all" else self.limit

    @property
    def n_workers(self) -> int:
        """Processes that answer; 1 as long as that is not settled."""
        return 1 if self.workers == "auto" else self.workers

    @property
    def has_workers(self) -> bool:
        """Whether other processes answer, and not this one."""
        return self.n_workers > 1 or self.engine != "local"


class ScoreSettings(RunSettings):
    """What `vipbench score` takes: some fields of a run, and one of its own."""

    extractor: Annotated[ExtractorSettings | None, Options(ExtractorOptions)] = Field(
        default=None, description="Reads what the rule leaves unread."
    )
