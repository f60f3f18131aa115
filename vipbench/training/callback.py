"""`vipbench.TrainerCallback`: evaluations while transformers' `Trainer` trains."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import transformers
from transformers import TrainerControl, TrainerState, TrainingArguments

from vipbench.analysis.gate import Thresholds, gate
from vipbench.analysis.gate_text import verdict
from vipbench.analysis.looks import level
from vipbench.analysis.pairs import read_side
from vipbench.api import evaluate, settings_of
from vipbench.errors import RunError, RunnerError, TrackerError, VipbenchError, shown
from vipbench.run.defaults import with_defaults
from vipbench.run.dry_run import dry_run
from vipbench.run.settings import RunSettings
from vipbench.runfolder.folder import MANIFEST
from vipbench.runners.checkpoints.adapting import sharding, unwrap
from vipbench.runners.preserving import preserved
from vipbench.training.ranks import Ranks
from vipbench.training.tracked import Tracked

START = "start"
"""Evaluates the model before its first step, and holds what follows against that."""
FOLDER = "vipbench"
"""Below the Trainer's `output_dir`."""
OCCASIONS = ("save", "evaluate", "epoch")

_log = logging.getLogger(__name__)


class Evaluated(NamedTuple):
    """What came of one evaluation."""

    step: int
    path: Path
    """The run folder."""
    accuracy: dict[str, float]
    """Task@style -> accuracy under its headline metric, 0-1."""
    gate: str | None = None
    """The gate's verdict; None: there is none."""
    passed: bool = True


class TrainerCallback(transformers.TrainerCallback):
    """Evaluates the model in memory every so often, and leaves the training as it was.

    Under DDP the first process evaluates and the others wait. A model whose parameters are sharded
    is refused when the training begins. What goes wrong later is said and does not end the
    training: `failures` has it.
    """

    def __init__(
        self,
        every: int | Literal["save", "evaluate", "epoch"] = "save",
        tasks: Sequence[str] | str | None = None,
        gate: str | Path | None = None,
        out: str | Path | None = None,
        *,
        thresholds: Thresholds | None = None,
        stop: bool = False,
        log: Sequence[str] | str = (),
        processor: object = None,
        **settings: Any,
    ) -> None:
        """Say when and on what to evaluate; anything else is as in `vipbench.evaluate`.

        Args:
            every: a number of steps, or `save`, `evaluate` or `epoch`: whenever the Trainer does.
            tasks: names; None: those of the suite.
            gate: a run folder, or `start` for the model before its first step: each evaluation is
                held against it, at a level that allows for any number of them
                (`docs/statistics.md`).
            out: folder of the runs, `step-<N>` each; None: `vipbench` below the `output_dir`.
            thresholds: of the gate; None: no drop.
            stop: end the training where the gate fails.
            log: trackers that are told, such as `wandb`.
            processor: of the model; None: the Trainer's `processing_class`.
            settings: such as `styles`, `data`, `limit`, `base`.

        Raises:
            RunError: `every` is neither.
        """
        is_number = isinstance(every, int) and not isinstance(every, bool) and every > 0
        if not is_number and every not in OCCASIONS:
            raise RunError(
                f"TrainerCallback: every = {shown(every)} · expected a number of steps from 1, or "
                f"one of {', '.join(OCCASIONS)} · give every=500, say"
            )
        fixed = sorted({"model", "out", "step", "workers"} & settings.keys())
        unknown = sorted(settings.keys() - RunSettings.model_fields.keys() - {"progress"})
        if fixed or unknown:
            raise RunError(
                f"TrainerCallback: {', '.join(fixed or unknown)}: cannot be given · expected "
                "settings of vipbench.evaluate, without the model, its step and workers · leave "
                "it out"
            )
        self.every = every
        self.gate = gate
        self.out = None if out is None else Path(out)
        self.thresholds = thresholds or Thresholds()
        self.stop = stop
        self.log = (log,) if isinstance(log, str) else tuple(log)
        self.processor = processor
        self.settings = {"tasks": tasks, **settings}
        self.evaluated: list[Evaluated] = []
        """In the first process only."""
        self.failures: list[str] = []
        self._ranks: Ranks | None = None
        self._base: Path | None = None
        self._n_gated = 0
        self._tracked: Tracked | None = None

    # --- when

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Refuse what cannot be evaluated, and evaluate the start where the gate needs it."""
        model = kwargs["model"]
        check_whole(args, model)
        if self.processor is None:
            self.processor = kwargs.get("processing_class")
        if self.out is None:
            self.out = Path(str(args.output_dir)) / FOLDER
        self._ranks = Ranks()
        self._ranks.first_does(partial(self._begin, model, state.global_step))

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate every so many steps."""
        if isinstance(self.every, int) and state.global_step % self.every == 0:
            self._evaluate(state, control, kwargs["model"])

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate what has been saved."""
        self._evaluate_on("save", state, control, kwargs["model"])

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate after the Trainer's own evaluation."""
        self._evaluate_on("evaluate", state, control, kwargs["model"])

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Evaluate after each epoch."""
        self._evaluate_on("epoch", state, control, kwargs["model"])

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Give the trackers the report of all evaluations."""
        try:
            if self._tracked is not None:  # in the first process
                self._tracked.end()
        except VipbenchError as error:
            self._fail(f"the report was not logged: {error}")

    def _evaluate_on(
        self, occasion: str, state: TrainerState, control: TrainerControl, model: Any
    ) -> None:
        if self.every == occasion:
            self._evaluate(state, control, model)

    # --- what

    def _begin(self, model: Any, step: int) -> None:
        """See that what is asked for is there, and that the gate has what it needs."""
        self._tracked = Tracked(self.log, _log.warning)
        if self.gate == START:
            self._base = self._run(model, step).path
            return
        if self.gate is not None:
            self._base = read_side(str(self.gate)).folder
        asked = {name: value for name, value in self.settings.items() if name != "progress"}
        with preserved(model):
            asked_of = settings_of(
                unwrap(model), processor=self.processor, out=self._folder(step), **asked
            )
            dry_run(with_defaults(asked_of))

    def _evaluate(self, state: TrainerState, control: TrainerControl, model: Any) -> None:
        """Evaluate in the first process; all learn whether to stop."""
        assert self._ranks is not None
        step = state.global_step
        try:
            passed = self._ranks.first_does(lambda: self._evaluate_here(model, step))
        except VipbenchError as error:
            self._fail(f"step {step} was not evaluated, and the training goes on: {error}")
            return
        if not passed and self.stop:
            control.should_training_stop = True

    def _fail(self, what: str) -> None:
        self.failures.append(what)
        _log.warning("%s", what)

    def _evaluate_here(self, model: Any, step: int) -> bool:
        found = self._run(model, step)
        if self._base is not None and found.path != self._base:
            found = self._gated(found)
        self.evaluated.append(found)
        said = ", ".join(f"{name} {100 * value:.1f} %" for name, value in found.accuracy.items())
        _log.info("step %d: %s", step, said)
        return found.passed

    def _run(self, model: Any, step: int) -> Evaluated:
        assert self._tracked is not None
        results = evaluate(
            unwrap(model),
            processor=self.processor,
            out=self._folder(step),
            step=step,
            **self.settings,
        )
        try:
            self._tracked.tell(results, self.out)
        except TrackerError as error:
            self._fail(f"step {step} was not logged: {error}")
        accuracy: dict[str, float] = {}
        for row in results.rows:
            if row.group == "all" and row.accuracy is not None:
                accuracy.setdefault(f"{row.task}@{row.style}", row.accuracy)
        return Evaluated(step, results.path, accuracy)

    def _folder(self, step: int) -> Path:
        assert self.out is not None
        return free_folder(self.out, step, self.evaluated)

    def _gated(self, found: Evaluated) -> Evaluated:
        """Hold an evaluation against the base, at the level of this look."""
        self._n_gated += 1
        alpha = level(self.thresholds.alpha, self._n_gated)
        thresholds = self.thresholds.model_copy(update={"alpha": alpha})
        result = gate(str(self._base), str(found.path), thresholds)
        said, passed = verdict(result), not result.failures
        _log.log(logging.INFO if passed else logging.WARNING, "step %d: %s", found.step, said)
        return found._replace(gate=said, passed=passed)


def free_folder(out: Path, step: int, own: Sequence[Evaluated]) -> Path:
    """Return the folder for a step: another one where an earlier training has left its own.

    A training that was resumed comes by the same step with other weights; nothing is removed.
    """
    folder, number = out / f"step-{step}", 1
    done = {each.path for each in own if each.step == step}
    while (folder / MANIFEST).exists() and folder not in done:
        number += 1
        folder = out / f"step-{step}-{number}"
    return folder


def check_whole(args: TrainingArguments, model: Any) -> None:
    """Refuse a model of which no process has all parameters.

    Raises:
        RunnerError: FSDP, ZeRO-3 or tensor parallelism; names the way to evaluate it.
    """
    plugin = getattr(args, "deepspeed_plugin", None)
    is_zero3 = getattr(plugin, "zero_stage", None) == 3
    stated = "ZeRO-3" if is_zero3 else "FSDP" if getattr(args, "fsdp", None) else None
    shards = stated or sharding(model)
    if shards is not None:
        raise RunnerError(
            f"TrainerCallback: the parameters are sharded ({shards}), so that no process has the "
            "whole model · expected one process, or DDP · evaluate the checkpoints as they are "
            f"written: `vipbench watch {args.output_dir} --data … --base CHECKPOINT`"
        )
