"""What runner `vipllava` says of itself before it is built."""

from typing import TYPE_CHECKING, Any

from vipbench.errors import RunnerError
from vipbench.runners.checkpoints.checkpoint import CheckpointInfo, check_checkpoint
from vipbench.runners.checkpoints.spec import CheckpointSpec
from vipbench.runners.contract import RunnerSettings, settings_of
from vipbench.runners.device import DTYPES, Placement
from vipbench.runners.spec import (
    Model,
    ModelChoice,
    Probe,
    Sizing,
    describe_by_settings,
    name_by_origin,
)
from vipbench.schema import Fit, PromptFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from vipbench.runfolder.trials_file import Trials
    from vipbench.runners.contract import Runner
    from vipbench.schema import Trial


class VipLlavaSpec(CheckpointSpec):
    """A VipLlava checkpoint, or a VipLlava in memory."""

    summary = "a VipLlava checkpoint, through transformers"
    heeds = CheckpointSpec.heeds | {"path"}

    @property
    def is_live(self) -> bool:
        """Whether the model is in memory already, and left as it is."""
        return self.choice.live_model is not None

    @property
    def fit_hint(self) -> Fit | None:
        """Of the checkpoint; a model in memory has no such file."""
        return None if self.is_live else super().fit_hint

    def check(self) -> None:
        """Check the checkpoint; of a model in memory, all shows when the runner is built."""
        if self.is_live:
            super(CheckpointSpec, self).check()
        else:
            super().check()

    def read_info(self, model: str) -> CheckpointInfo:
        """Check a VipLlava checkpoint."""
        return check_checkpoint(model)

    def size(self, suite_format: PromptFormat | None) -> Sizing:
        """Count tokens as the runner will, and estimate how many fit into memory."""
        from vipbench.runners.checkpoints import sizing  # loads transformers

        asked = self.asked(suite_format)
        if self.is_live:
            return sizing.size_live(asked.live_model, asked.processor, asked.prompt_format)
        assert isinstance(self.info, CheckpointInfo)
        return sizing.size_checkpoint(self.info, asked.prompt_format, self.placement)

    def describe(
        self,
        suite_format: PromptFormat | None,
        trials: "Trials",
        ids: "Mapping[str, AbstractSet[str]]",
        probe: Probe,
    ) -> Model:
        """Fix what an answer depends on; for a model in memory, the runner is built here."""
        if not self.is_live:
            return super().describe(suite_format, trials, ids, probe)
        runner = self.build(self.asked(suite_format))
        settings = settings_of(runner, self.name)
        self._check_live(settings)
        config = getattr(self.choice.live_model, "config", None)
        name = name_by_origin(str(getattr(config, "name_or_path", "") or settings.model))
        return describe_by_settings(
            self.choice, name, settings, runner.image_size, lambda trials, token_budget: runner
        )

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
        """Load a checkpoint, or take the model in memory."""
        from vipbench.runners.vipllava.runner import VipLlavaRunner  # loads transformers

        model: Any = choice.model if choice.live_model is None else choice.live_model
        if model is None:
            raise RunnerError("runner vipllava: no model given · give --model FOLDER or a hub id")
        return VipLlavaRunner(
            model,
            choice.processor,
            prompt_format=choice.prompt_format,
            dtype=choice.dtype,
            device=choice.device,
            placement=placement,
            threads=threads,
            path=choice.path,
            token_budget=token_budget,
        )

    def _fault_in_processes(self) -> str | None:
        if self.is_live:
            return (
                "a model in memory cannot be sent to other processes · save it and give its folder"
            )
        return None

    def _check_live(self, settings: RunnerSettings) -> None:
        """Refuse a dtype or a device that a model in memory, which is left as it is, does not have.

        Raises:
            RunnerError: Says what it has.
        """
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
