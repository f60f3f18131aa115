"""What runner `hf` says of itself before it is built."""

from dataclasses import replace

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import ModelInfo, check_model
from vipbench.runners.checkpoints.prompt_origin import PromptOrigin, find_origin
from vipbench.runners.checkpoints.spec import CheckpointSpec, base_for, model_of
from vipbench.runners.contract import Runner
from vipbench.runners.device import find_placement
from vipbench.runners.spec import BuildContext, ModelChoice, RunContext
from vipbench.schema import PromptFormat


class HfSpec(CheckpointSpec):
    """Any checkpoint that transformers knows as one of images and text; it answers greedily."""

    FORMAT: PromptFormat = "chat_template"
    several_images = True
    summary = "any image-text-to-text checkpoint of transformers, such as LLaVA-1.5"

    def check(self) -> None:
        """Check the checkpoint, and refuse to sample."""
        if self.choice.replay is not None:
            raise RunnerError(
                "runner hf: answers greedily, and a replay samples as ViP-LLaVA's scripts do · "
                "leave --replay out, or use --runner vipllava"
            )
        super().check()

    def read_info(self, model: str) -> ModelInfo:
        """Check a checkpoint of any model."""
        choice = self.choice
        return check_model(
            model, choice.prompt_format, base_for(choice), choice.adapter, choice.quantize
        )

    def with_format(self, suite_format: PromptFormat | None) -> ModelChoice:
        """Return the choice with the checkpoint's chat template: a suite's format is VipLlava's."""
        return replace(self.choice, prompt_format=self.FORMAT)

    def find_origin(self, context: RunContext) -> PromptOrigin:
        """Find who says that the chat template is taken."""
        hint = (self.info.hints_from, self.info.hints.prompt_format)
        default = ("the only one of runner hf", self.FORMAT)
        return find_origin(self.choice.prompt_format, ("", None), hint, default)

    def unused(self, suite_format: PromptFormat | None) -> list[str]:
        """Say what is not looked at, a suite's prompt format too."""
        notes = []
        if suite_format not in (None, "chat_template"):
            notes.append(f"runner hf: asks in the chat template, not in the suite's {suite_format}")
        return [*notes, *super().unused(suite_format)]

    @classmethod
    def build(cls, choice: ModelChoice, context: BuildContext = BuildContext()) -> Runner:  # noqa: B008  # immutable
        """Load the checkpoint."""
        from vipbench.runners.hf.runner import HfRunner  # loads transformers

        return HfRunner(
            model_of(choice),
            prompt_format=choice.prompt_format,
            placement=context.placement or find_placement(choice.device, choice.dtype),
            threads=context.threads,
            base=base_for(choice),
            adapter=choice.adapter,
            quantize=choice.quantize,
        )
