"""What runner `vipllava` says of itself before it is built."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vipbench import digests
from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import (
    MODEL_TYPE,
    CheckpointInfo,
    Hints,
    Outline,
    check_checkpoint,
)
from vipbench.runners.checkpoints.lending import Lent
from vipbench.runners.checkpoints.prompt_origin import PromptOrigin, contradictions, find_origin
from vipbench.runners.checkpoints.spec import (
    CheckpointSpec,
    against,
    base_for,
    lent_notes,
    model_of,
    packages_of,
)
from vipbench.runners.contract import Runner, settings_of
from vipbench.runners.device import DTYPES, find_placement
from vipbench.runners.spec import (
    BuildContext,
    Model,
    ModelChoice,
    RunContext,
    RunnerSpec,
    Sizing,
    describe_by_settings,
    name_by_origin,
)
from vipbench.runners.vipllava.live import LiveLent, find_hints, lend_live, unwrapped
from vipbench.runners.vipllava.model_sizes import ModelSizes
from vipbench.schema import AnswerPath, Fit, PromptFormat

if TYPE_CHECKING:
    from vipbench.runners.vipllava.runner import VipLlavaRunner


class VipLlavaSpec(CheckpointSpec):
    """A VipLlava checkpoint."""

    summary = "a VipLlava checkpoint, through transformers"
    rule = "exact"
    heeds = CheckpointSpec.heeds | {"path"}
    model_type = MODEL_TYPE
    info: CheckpointInfo

    def read_info(self, model: str) -> CheckpointInfo:
        """Check a VipLlava checkpoint."""
        choice = self.choice
        return check_checkpoint(model, base_for(choice), choice.adapter, choice.quantize)

    def sizes_of(self, outline: Outline) -> ModelSizes:
        """Read the sizes as transformers does."""
        from vipbench.runners.vipllava.sizing import read_sizes  # loads transformers

        return read_sizes(outline.path, outline.vision_feature_layers)

    def size(self, suite_format: PromptFormat | None) -> Sizing:
        """Count tokens as the runner will, and estimate how many fit into memory."""
        from vipbench.runners.vipllava.sizing import size_checkpoint  # loads transformers

        prompt_format = self.with_format(suite_format).prompt_format
        sizing = size_checkpoint(self.info, prompt_format, self.placed())
        self.sizing = _as_path(sizing, self.choice.path)
        return self.sizing

    @classmethod
    def build(cls, choice: ModelChoice, context: BuildContext = BuildContext()) -> Runner:  # noqa: B008  # immutable
        """Load the checkpoint."""
        from vipbench.runners.vipllava.runner import VipLlavaRunner  # loads transformers

        return VipLlavaRunner(
            model_of(choice),
            prompt_format=choice.prompt_format,
            placement=context.placement or find_placement(choice.device, choice.dtype),
            threads=context.threads,
            path=choice.path,
            token_budget=context.budget_to_try,
            base=base_for(choice),
            adapter=choice.adapter,
            quantize=choice.quantize,
        )


class LiveVipLlavaSpec(RunnerSpec):
    """A VipLlava in memory, such as during its training; it is left as it is."""

    summary = "a VipLlava in memory"
    rule = "exact"
    heeds = VipLlavaSpec.heeds - {"adapter", "quantize"}
    is_live = True

    def __init__(self, choice: ModelChoice) -> None:
        """Take what the user chose; of a PeftModel, the model inside with its adapter at work."""
        super().__init__(replace(choice, live_model=unwrapped(choice.live_model)))
        self.hints = Hints()
        self.hints_from = ""
        self.lent: LiveLent | None = None
        self.sizing: Sizing | None = None

    @property
    def fit_hint(self) -> Fit | None:
        """How the `vipbench.json` of the model's folder, or of the base, wants images fitted."""
        return self.hints.fit

    @property
    def fit_hint_from(self) -> str:
        """Where that file is."""
        return self.hints_from

    def check(self) -> None:
        """Find how the model wants to be asked, and what a base lends to it."""
        super().check()
        for option, value in (
            ("adapter", self.choice.adapter),
            ("quantize", self.choice.quantize),
        ):
            if value is not None:
                raise RunnerError(
                    f"{option} {value!r}: a model in memory is left as it is · give the model with "
                    "it (a PeftModel, quantised weights), or a folder"
                )
        base, live = self.choice.base, self.choice.live_model
        self.hints, self.hints_from = find_hints(live, base)
        if base is not None:
            self.lent = lend_live(base, self.choice.processor)

    @property
    def processor(self) -> object | None:
        """The model's processor, with what the base lends."""
        return self.choice.processor if self.lent is None else self.lent.processor

    def find_origin(self, suite: tuple[str, PromptFormat | None]) -> PromptOrigin:
        """Find who says which prompt format is taken."""
        hint = (self.hints_from, self.hints.prompt_format)
        default: tuple[str, PromptFormat] = (f"default of runner {self.name}", "hf")
        return find_origin(self.choice.prompt_format, suite, hint, default)

    def fault_in_workers(self) -> str:
        """Say that it is here only."""
        return "a model in memory cannot be sent to other processes · save it and give its folder"

    def size(self, suite_format: PromptFormat | None) -> Sizing:
        """Count tokens as the runner will, and estimate how many fit beside the model."""
        from vipbench.runners.vipllava.sizing import size_live  # loads transformers

        taken = self.find_origin(("", suite_format)).prompt_format
        sizing = size_live(self.choice.live_model, self.processor, taken)
        self.sizing = _as_path(sizing, self.choice.path)
        return self.sizing

    def describe(self, context: RunContext) -> Model:
        """Build the runner, and fix what it says an answer depends on.

        Raises:
            RunnerError: The user wants another dtype or device than the model has.
        """
        origin = self.find_origin((context.suite, context.suite_format))
        choice = replace(
            self.choice, prompt_format=origin.prompt_format, processor=self.processor, base=None
        )
        runner = self.build(choice)
        settings = settings_of(runner, self.name)
        if self.lent is not None and self.lent.digest is not None:
            weights = digests.digest([settings.weights, self.lent.digest])
            settings = settings.model_copy(update={"weights": weights})
        given = None if self.choice.processor is None else _digest_processor(runner.info.parts)
        dtype = DTYPES.get(self.choice.dtype or "", self.choice.dtype)
        for what, wanted, present in (
            ("dtype", dtype, settings.dtype),
            ("device", self.choice.device, settings.device),
        ):
            if wanted in (None, "auto", present) or str(present).startswith(f"{wanted}:"):
                continue
            raise RunnerError(
                f"{what} {wanted!r}: the model in memory has {present!r}, and is left as it is · "
                f"leave {what} out, or bring the model there"
            )
        config = getattr(self.choice.live_model, "config", None)
        name = name_by_origin(str(getattr(config, "name_or_path", "") or settings.model))
        model = describe_by_settings(
            self.choice, name, settings, runner.image_size, lambda trials, budget_to_try: runner
        )
        hint = (self.hints_from, self.hints.prompt_format)
        notes = contradictions(origin, hint, *against(self.sizing))
        return model._replace(
            settings=model.settings.model_copy(update={"processor": given}),
            packages=packages_of(runner.info),
            parts=runner.info.parts,
            notes=(*self._lent_notes(), *notes),
            prompt_format_from=origin.source,
        )

    def _lent_notes(self) -> tuple[str, ...]:
        """Say what the base lends."""
        if self.lent is None:
            return ()
        base = str(self.choice.base)
        return lent_notes(Lent(Path(base), name_by_origin(base), self.lent.parts))

    @classmethod
    def build(cls, choice: ModelChoice, context: BuildContext = BuildContext()) -> "VipLlavaRunner":  # noqa: B008  # immutable
        """Take the model in memory."""
        from vipbench.runners.vipllava.runner import VipLlavaRunner  # loads transformers

        model: Any = choice.live_model
        processor = choice.processor
        if choice.base is not None:
            processor = lend_live(choice.base, processor).processor
        return VipLlavaRunner(
            model,
            processor,
            prompt_format=choice.prompt_format,
            threads=context.threads,
            path=choice.path,
        )


def _as_path(sizing: Sizing, path: AnswerPath) -> Sizing:
    """Return what batches are cut by on a path: plain `generate` reads each prompt by itself."""
    return sizing if path == "fast" else sizing._replace(shared=None)


def _digest_processor(parts: Mapping[str, str]) -> str:
    """Return the sha256 of tokenizer, image processor and template of a model in memory."""
    return digests.digest([parts.get(name) for name in ("tokenizer", "processor", "template")])
