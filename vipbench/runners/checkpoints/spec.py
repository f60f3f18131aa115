"""What runners that load a checkpoint from a folder or the hub have in common."""

from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from vipbench import digests
from vipbench.errors import RunnerError
from vipbench.runfolder.manifest import Settings
from vipbench.runners.device import Placement, assign_devices, check_placed, find_placement
from vipbench.runners.spec import GREEDY, Model, ModelChoice, Probe, RunnerSpec, build_there
from vipbench.schema import Fit, PromptFormat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from collections.abc import Set as AbstractSet

    from vipbench.runfolder.trials_file import Trials
    from vipbench.runners.checkpoints.checkpoint import ModelInfo
    from vipbench.runners.contract import Runner
    from vipbench.schema import Trial


class CheckpointSpec(RunnerSpec):
    """A runner whose checkpoint can be known and fingerprinted before it is loaded."""

    heeds = frozenset({"dtype", "device", "prompt_format", "replay"})
    loads_checkpoint = True

    @property
    def fit_hint(self) -> Fit | None:
        """How the checkpoint's `vipbench.json` wants images fitted."""
        return self.info.hints.fit

    def check(self) -> None:
        """Check the checkpoint's files; where the user names a device or wants workers, these."""
        super().check()
        self.info  # noqa: B018  # raises
        if self.choice.engine == "ray":
            check_placed(self.placement.torch_device())
        elif self.choice.workers > 1:
            assign_devices(self.placement.torch_device(), self.choice.workers)
        elif self.choice.device not in (None, "auto", "cpu"):
            self.placement  # noqa: B018  # raises

    @cached_property
    def info(self) -> "ModelInfo":
        """What the files say; RunnerError where they cannot be used."""
        if self.choice.model is None:
            raise RunnerError(
                f"runner {self.name}: no model given · give --model FOLDER or a hub id"
            )
        return self.read_info(self.choice.model)

    def read_info(self, model: str) -> "ModelInfo":
        """Check a checkpoint as far as is possible without torch."""
        raise NotImplementedError

    @cached_property
    def placement(self) -> Placement:
        """Where it computes, resolved at the first look, since that loads torch."""
        return find_placement(self.choice.device, self.choice.dtype)

    def asked(self, suite_format: PromptFormat | None) -> ModelChoice:
        """Return the choice with the prompt format that is taken; None: the checkpoint's own."""
        return replace(self.choice, prompt_format=self.choice.prompt_format or suite_format)

    def describe(
        self,
        suite_format: PromptFormat | None,
        trials: "Trials",
        ids: "Mapping[str, AbstractSet[str]]",
        probe: Probe,
    ) -> Model:
        """Fix what an answer depends on, by the files of the checkpoint."""
        asked, info, placement = self.asked(suite_format), self.info, self.placement
        spec = type(self)

        def load(trials: "Iterable[Trial]", token_budget: int | None) -> "Runner":
            return spec.build(asked, trials=trials, placement=placement, token_budget=token_budget)

        return Model(
            name=info.name,
            settings=Settings(
                weights=digests.digest([info.weights, info.settings]),
                prompt_format=asked.prompt_format or info.hints.prompt_format or "hf",
                dtype=placement.dtype,
                decoding=self.choice.replay or GREEDY,
            ),
            load=load,
            device=placement.device,
            placement=placement,
            build=partial(build_there, spec, asked, placement.dtype),
            weights=info.weights,
            image_size=info.image_size,
            converted_from=info.hints.converted_from,
        )
