"""What runners that load a checkpoint from a folder or the hub have in common."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from vipbench import digests
from vipbench.errors import RunnerError
from vipbench.runfolder.manifest import Settings
from vipbench.runners.checkpoints.adapters import adapter_notes, base_of
from vipbench.runners.checkpoints.checkpoint import Outline, outline_checkpoint
from vipbench.runners.checkpoints.lending import Lent
from vipbench.runners.checkpoints.prompt_origin import (
    PromptOrigin,
    contradictions,
    find_origin,
    for_checkpoint,
)
from vipbench.runners.checkpoints.template_files import find_template
from vipbench.runners.contract import Runner, RunnerSettings
from vipbench.runners.device import Placement, assign_devices, check_placed, find_placement
from vipbench.runners.spec import (
    GREEDY,
    BuildContext,
    Model,
    ModelChoice,
    Outlined,
    RunContext,
    RunnerSpec,
    Sizing,
    build_there,
)
from vipbench.runners.vipllava.model_sizes import ModelSizes
from vipbench.schema import Fit, PromptFormat, Trial

if TYPE_CHECKING:
    from vipbench.runners.checkpoints.checkpoint import ModelInfo


class CheckpointSpec(RunnerSpec):
    """A runner whose checkpoint can be known and fingerprinted before it is loaded."""

    heeds = frozenset({"base", "adapter", "quantize", "dtype", "device", "prompt_format", "replay"})
    loads_checkpoint = True
    model_type: ClassVar[str | None] = None
    """What the config has to say; None: any."""
    info: "ModelInfo"
    """What the files say, once they are checked."""

    def __init__(self, choice: ModelChoice) -> None:
        """Take what the user chose; nothing is looked at yet."""
        super().__init__(choice)
        self._placement: Placement | None = None
        self.sizing: Sizing | None = None

    @property
    def fit_hint(self) -> Fit | None:
        """How the checkpoint's `vipbench.json` wants images fitted."""
        return self.info.hints.fit

    @property
    def fit_hint_from(self) -> str:
        """Where that file is."""
        return self.info.hints_from

    def check(self) -> None:
        """Check the checkpoint's files; where the user names a device or wants workers, these."""
        super().check()
        self.info = self.read_info(model_of(self.choice))
        if self.choice.engine == "ray":
            check_placed(self.placed().torch_device())
        elif self.choice.workers > 1:
            assign_devices(self.placed().torch_device(), self.choice.workers)
        elif self.choice.device not in (None, "auto", "cpu"):
            self.placed()

    def outline(self) -> Outlined:
        """Check the small files of the checkpoint, and say what they tell."""
        super().check()
        found = outline_checkpoint(model_of(self.choice), self.model_type)
        adapter = self.choice.adapter
        return Outlined(
            name=found.name if adapter is None else f"{found.name}+{Path(adapter).name}",
            converted_from=None if adapter is not None else found.converted_from,
            sizes=self.sizes_of(found),
            weight_bytes=found.n_bytes,
            dtype=found.dtype,
        )

    def sizes_of(self, outline: Outline) -> ModelSizes | None:
        """Read the sizes that decide the arithmetic; None: they are not known."""
        return None

    @abstractmethod
    def read_info(self, model: str) -> "ModelInfo":
        """Check a checkpoint as far as is possible without torch."""

    def placed(self) -> Placement:
        """Return where it computes: found once, and not before it is asked for, as torch is slow.

        Raises:
            RunnerError: There is no such device here.
        """
        if self._placement is None:
            self._placement = find_placement(self.choice.device, self.choice.dtype)
        return self._placement

    def with_format(self, suite_format: PromptFormat | None) -> ModelChoice:
        """Return the choice with the prompt format that is taken; None: the checkpoint's own."""
        asked = self.choice.prompt_format
        own = self.info.hints.prompt_format
        return replace(self.choice, prompt_format=asked or for_checkpoint(suite_format, own))

    def find_origin(self, context: RunContext) -> PromptOrigin:
        """Find who says which prompt format is taken."""
        return find_origin(
            self.choice.prompt_format,
            (context.suite, context.suite_format),
            (self.info.hints_from, self.info.hints.prompt_format),
            (f"default of runner {self.name}", "hf"),
        )

    def describe(self, context: RunContext) -> Model:
        """Fix what an answer depends on, by the files of the checkpoint."""
        choice, origin = self.with_format(context.suite_format), self.find_origin(context)
        hint = (self.info.hints_from, self.info.hints.prompt_format)
        notes = contradictions(origin, hint, *against(self.sizing))
        spec, info, placement = type(self), self.info, self.placed()
        resolved = info.format_for(choice.prompt_format)
        template = find_template(info.path) if resolved == "chat_template" and info.path else None

        def load(trials: Iterable[Trial], budget_to_try: int | None) -> Runner:
            return spec.build(choice, BuildContext(trials, placement, None, budget_to_try))

        return Model(
            name=info.full_name,
            settings=Settings(
                weights=digests.digest([info.weights, info.settings]),
                prompt_format=resolved,
                dtype=placement.dtype,
                decoding=choice.replay or GREEDY,
                template_date=template.date if template else None,
                adapter=info.adapter_digest,
                quantization=info.quantized,
            ),
            load=load,
            device=placement.device,
            placement=placement,
            build=partial(build_there, spec, choice, placement.dtype),
            weights=_loaded(info),
            image_size=info.image_size,
            converted_from=info.hints.converted_from,
            notes=(
                *lent_notes(info.lent),
                *adapter_notes(info.adapter, info.name, merged=info.quantization is None),
                *notes,
            ),
            prompt_format_from=origin.source,
            parts=info.parts,
            packages=packages_of(info),
        )


def _loaded(info: "ModelInfo") -> str:
    """Return what the settings of a runner say of the weights that it has loaded."""
    settings = RunnerSettings(model=info.name, weights=info.weights, adapter=info.adapter_digest)
    return settings.loaded


def packages_of(info: "ModelInfo") -> tuple[str, ...]:
    """Return the packages that a checkpoint is loaded with, and most are not."""
    quantised = () if info.quantization is None else (info.quantization.method,)
    return (*quantised, *(("peft",) if info.adapter is not None else ()))


def against(sizing: Sizing | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what contradicts the prompt format, and the config; nothing where it is not known."""
    return ((), ()) if sizing is None else (sizing.against_format, sizing.against_config)


def lent_notes(lent: Lent | None) -> tuple[str, ...]:
    """Say what a base lends, or that it lends nothing."""
    if lent is None:
        return ()
    parts = ", ".join(lent.parts) or "nothing, since the checkpoint has all that it could lend"
    return (f"--base {lent.base}: lends {parts}",)


def model_of(choice: ModelChoice) -> str:
    """Return the checkpoint that the user names, or their adapter; RunnerError where none is named.

    Where an adapter is given without a model, `--base` is what it is loaded onto.
    """
    if choice.model is None and choice.adapter is not None:
        return choice.base or base_of(choice.adapter)
    if choice.model is None:
        raise RunnerError(
            f"runner {choice.runner}: no model given · give --model FOLDER or a hub id; only "
            "--suite demo has a model of its own"
        )
    return choice.model


def base_for(choice: ModelChoice) -> str | None:
    """Return the checkpoint that lends what the model lacks; None: there is none."""
    return choice.base if choice.model is not None else None
