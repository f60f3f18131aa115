"""What runner `hf` says of itself before it is built."""

from dataclasses import replace
from typing import TYPE_CHECKING

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import ModelInfo, check_model
from vipbench.runners.checkpoints.spec import CheckpointSpec
from vipbench.runners.device import Placement
from vipbench.runners.spec import ModelChoice
from vipbench.schema import PromptFormat

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vipbench.runners.contract import Runner
    from vipbench.schema import Trial


class HfSpec(CheckpointSpec):
    """Any checkpoint that transformers knows as one of images and text; it answers greedily."""

    summary = "any image-text-to-text checkpoint of transformers, such as LLaVA-1.5"

    def check(self) -> None:
        """Check the checkpoint, and refuse what this runner cannot do."""
        if self.choice.live_model is not None:
            raise RunnerError("runner hf: takes no model in memory · save it, and give its folder")
        if self.choice.replay is not None:
            raise RunnerError(
                "runner hf: answers greedily, and a replay samples as ViP-LLaVA's scripts do · "
                "leave --replay out, or use --runner vipllava"
            )
        super().check()

    def read_info(self, model: str) -> ModelInfo:
        """Check a checkpoint of any model."""
        return check_model(model, self.choice.prompt_format)

    def asked(self, suite_format: PromptFormat | None) -> ModelChoice:
        """Return the choice with the checkpoint's chat template: a suite's format is VipLlava's."""
        return replace(self.choice, prompt_format="chat_template")

    def unused(self, suite_format: PromptFormat | None) -> list[str]:
        """Say what is not looked at, a suite's prompt format too."""
        notes = []
        if suite_format not in (None, "chat_template"):
            notes.append(f"runner hf: asks in the chat template, not in the suite's {suite_format}")
        return [*notes, *super().unused(suite_format)]

    @classmethod
    def build(
        cls,
        choice: ModelChoice,
        *,
        trials: "Iterable[Trial]" = (),
        placement: Placement | None = None,
        threads: int | None = None,
        token_budget: int | None = None,
    ) -> "Runner":
        """Load a checkpoint."""
        from vipbench.runners.hf.runner import HfRunner  # loads transformers

        model = choice.model if choice.live_model is None else choice.live_model
        if model is None:
            raise RunnerError("runner hf: no model given · give --model FOLDER or a hub id")
        return HfRunner(
            model,  # type: ignore[arg-type]  # says itself what it does not take
            prompt_format=choice.prompt_format,
            dtype=choice.dtype,
            device=choice.device,
            placement=placement,
            threads=threads,
        )
