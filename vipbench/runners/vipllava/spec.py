"""What runner `vipllava` says of itself before it is built."""

from dataclasses import replace
from typing import Any

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo, check_checkpoint
from vipbench.runners.checkpoints.spec import CheckpointSpec, model_of
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
from vipbench.schema import PromptFormat


class VipLlavaSpec(CheckpointSpec):
    """A VipLlava checkpoint."""

    summary = "a VipLlava checkpoint, through transformers"
    heeds = CheckpointSpec.heeds | {"path"}
    info: CheckpointInfo

    def read_info(self, model: str) -> CheckpointInfo:
        """Check a VipLlava checkpoint."""
        return check_checkpoint(model)

    def size(self, suite_format: PromptFormat | None) -> Sizing:
        """Count tokens as the runner will, and estimate how many fit into memory."""
        from vipbench.runners.vipllava.sizing import size_checkpoint  # loads transformers

        prompt_format = self.with_format(suite_format).prompt_format
        return size_checkpoint(self.info, prompt_format, self.placed())

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
        )


class LiveVipLlavaSpec(RunnerSpec):
    """A VipLlava in memory, such as during its training; it is left as it is."""

    summary = "a VipLlava in memory"
    heeds = VipLlavaSpec.heeds
    is_live = True

    def fault_in_workers(self) -> str:
        """Say that it is here only."""
        return "a model in memory cannot be sent to other processes · save it and give its folder"

    def size(self, suite_format: PromptFormat | None) -> Sizing:
        """Count tokens as the runner will, and estimate how many fit beside the model."""
        from vipbench.runners.vipllava.sizing import size_live  # loads transformers

        prompt_format = self.choice.prompt_format or suite_format
        return size_live(self.choice.live_model, self.choice.processor, prompt_format)

    def describe(self, context: RunContext) -> Model:
        """Build the runner, and fix what it says an answer depends on.

        Raises:
            RunnerError: The user wants another dtype or device than the model has.
        """
        prompt_format = self.choice.prompt_format or context.suite_format
        runner = self.build(replace(self.choice, prompt_format=prompt_format))
        settings = settings_of(runner, self.name)
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
        return model._replace(parts=runner.info.parts)

    @classmethod
    def build(cls, choice: ModelChoice, context: BuildContext = BuildContext()) -> Runner:  # noqa: B008  # immutable
        """Take the model in memory."""
        from vipbench.runners.vipllava.runner import VipLlavaRunner  # loads transformers

        model: Any = choice.live_model
        return VipLlavaRunner(
            model,
            choice.processor,
            prompt_format=choice.prompt_format,
            threads=context.threads,
            path=choice.path,
        )
