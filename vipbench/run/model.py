"""What answers in a run: checked and described before anything is loaded or any data are read."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vipbench import digests
from vipbench.engine.ray_actors import import_ray
from vipbench.engine.workers import Build, describe
from vipbench.errors import RunError, RunnerError
from vipbench.exchange.formats import AnswerFile
from vipbench.run.settings import BASELINES, HF, VIPLLAVA, RunSettings
from vipbench.runfolder.manifest import IMPORTED, Settings
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.checkpoints.checkpoint import (
    CheckpointInfo,
    ModelInfo,
    check_checkpoint,
    check_model,
)
from vipbench.runners.contract import Runner, RunnerSettings, settings_of
from vipbench.runners.device import (
    DTYPES,
    check_names,
    check_placed,
    find_device,
    find_dtype,
    spread,
)
from vipbench.runners.imported import ImportedRunner, Matched
from vipbench.runners.registry import WITH_CHECKPOINT, find_plugin, make_runner
from vipbench.schema import Fit, PromptFormat, Trial
from vipbench.trials.selection import Selection

if TYPE_CHECKING:
    from vipbench.runners.checkpoints.sizing import Sizing

GREEDY = "greedy"


class Model(NamedTuple):
    """What is known of a model before it is loaded."""

    name: str
    settings: Settings
    device: str
    fit: Fit | None
    """Of the checkpoint's hints."""
    is_baseline: bool
    load: Callable[[Trials, int | None], Runner]
    """Loads it here; the number is the budget of tokens that is to be tried, if any."""
    converted_from: str | None = None
    image_size: int | None = None
    """Side in px of the square that it sees, where that is known."""
    build: Build | None = None
    """Builds the runner in another process; None where that makes no sense."""
    weights: str | None = None
    """sha256 of the weights that it must load there; None where they are not known before."""


def check_settings(settings: RunSettings) -> ModelInfo | None:
    """Check all of a model that can be checked without loading it, or reading any data."""
    check_names(settings.device, settings.dtype)
    _check_workers(settings)
    if settings.runner == IMPORTED or settings.answers:
        if settings.runner != IMPORTED or not settings.answers:
            fault = "takes no answers" if settings.answers else "has no answers"
            raise RunnerError(
                f"runner {settings.runner}: {fault}; give answers made elsewhere to"
                " `vipbench import TASK=FILE`"
            )
        return None
    if settings.runner in BASELINES:
        if settings.model is not None or settings.live_model is not None:
            raise RunnerError(f"runner {settings.runner}: takes no model; leave --model out")
        return None
    if settings.runner not in WITH_CHECKPOINT:
        find_plugin(settings.runner)
        return None
    if settings.runner == HF:
        _check_greedy(settings)
    elif settings.live_model is not None:
        return None
    if settings.model is None:
        raise RunnerError(
            f"runner {settings.runner}: no model given; give --model FOLDER or a hub id"
        )
    info = (
        check_model(settings.model, settings.prompt_format)
        if settings.runner == HF
        else check_checkpoint(settings.model)
    )
    if settings.engine == "ray":
        check_placed(find_device(settings.device))
    elif settings.workers > 1:
        spread(find_device(settings.device), settings.workers)
    elif settings.device not in (None, "auto", "cpu"):
        find_device(settings.device)
    return info


def _check_workers(settings: RunSettings) -> None:
    """Refuse workers and shards where they make no sense."""
    if settings.shard is not None and settings.judge is not None:
        raise RunError(
            f"--shard {settings.shard} with --judge-url: a shard has no scores; merge the shards, "
            "then give the judge to `vipbench score`"
        )
    if not settings.has_workers:
        return
    if settings.engine == "ray":
        import_ray()
    fault = None
    if settings.live_model is not None:
        fault = "a model in memory cannot be sent to other processes; save it and give its folder"
    elif settings.runner in BASELINES or settings.runner == IMPORTED or settings.answers:
        fault = f"runner {settings.runner} has no model to load in other processes; leave it out"
    if fault is not None:
        option = "--workers {0.workers}" if settings.engine == "local" else "--engine {0.engine}"
        raise RunnerError(f"{option.format(settings)}: {fault}")


def _check_greedy(settings: RunSettings) -> None:
    """Refuse what runner hf cannot do, before anything is read."""
    if settings.live_model is not None:
        raise RunnerError("runner hf: takes no model in memory; save it, and give its folder")
    if settings.replay is not None:
        raise RunnerError(
            "runner hf: answers greedily, and a replay samples as ViP-LLaVA's scripts do; leave "
            "--replay out, or use --runner vipllava"
        )


def unused(settings: RunSettings, suite_format: PromptFormat | None) -> list[str]:
    """Say which settings a runner does not look at, so that nobody takes them for granted."""
    if settings.runner == VIPLLAVA:
        return []
    notes = []
    if settings.runner == HF and suite_format not in (None, "chat_template"):
        notes.append(f"runner hf: asks in the chat template, not in the suite's {suite_format}")
    names = [
        f"--{name.replace('_', '-')}"
        for name in ("dtype", "device", "prompt_format", "replay")
        if settings.runner not in WITH_CHECKPOINT and getattr(settings, name) is not None
    ]
    names += ["--path"] if settings.path != "fast" else []
    if names:
        notes.append(f"runner {settings.runner}: does not use {', '.join(names)}")
    return notes


def find_sizing(
    settings: RunSettings, suite_format: PromptFormat | None, info: ModelInfo | None
) -> "Sizing | None":
    """Find how many tokens requests have and a batch may have; None: this runner does not tell."""
    if settings.runner != VIPLLAVA:
        if settings.token_budget is not None:
            raise RunnerError(
                f"--token-budget {settings.token_budget}: runner {settings.runner} does not count "
                "tokens; give --batch-size N"
            )
        return None
    from vipbench.runners.checkpoints import sizing  # loads transformers

    prompt_format = settings.prompt_format or suite_format
    if not isinstance(info, CheckpointInfo):
        return sizing.size_live(settings.live_model, settings.processor, prompt_format)
    device = find_device(settings.device)
    dtype = find_dtype(settings.dtype, device)
    return sizing.size_checkpoint(info, prompt_format, dtype, device)


def describe_model(
    settings: RunSettings, suite_format: PromptFormat | None, info: ModelInfo | None
) -> Model:
    """Fix name, fingerprint and settings of a model; a plugin or a live model is built here."""
    prompt_format = settings.prompt_format or suite_format
    if settings.runner == HF:
        prompt_format = "chat_template"  # a suite's is VipLlava's

    build = partial(
        make_runner,
        settings.runner,
        model=settings.model if settings.live_model is None else settings.live_model,
        processor=settings.processor,
        seed=settings.seed,
        prompt_format=prompt_format,
        dtype=settings.dtype,
        path=settings.path,
    )

    def load(trials: Sequence[Trial], token_budget: int | None) -> Runner:
        return build(trials=trials, device=settings.device, token_budget=token_budget)

    if settings.runner in BASELINES:
        nothing = Settings(weights=None, prompt_format=None, dtype=None, decoding=None)
        return Model(settings.runner, nothing, "cpu", None, True, load)
    if info is not None:
        device = find_device(settings.device)
        dtype = str(find_dtype(settings.dtype, device)).removeprefix("torch.")
        fixed = Settings(
            weights=digests.digest([info.weights, info.settings]),
            prompt_format=prompt_format or info.hints.prompt_format or "hf",
            dtype=dtype,
            decoding=settings.replay or GREEDY,
        )
        origin = info.hints.converted_from
        return Model(
            *(info.name, fixed, str(device), info.hints.fit, False, load, origin),
            image_size=info.image_size,
            build=build,
            weights=info.weights,
        )
    if settings.has_workers:  # a model that is built here would take the place of a worker's
        told, image_size = describe(build, settings.runner)
        runner = None
    else:
        runner = load((), None)
        told, image_size = settings_of(runner, settings.runner), runner.image_size
    if settings.live_model is not None:
        _check_live(settings, told)
    fixed = Settings(
        weights=told.weights or digests.digest(["unknown", settings.model]),
        prompt_format=told.prompt_format,
        dtype=told.dtype,
        decoding=settings.replay or told.decoding,
    )
    return Model(
        *(_name(settings, told), fixed, told.device, None, False),
        load=load if runner is None else lambda trials, token_budget: runner,
        image_size=image_size,
        build=build,
    )


def check_answers(files: Mapping[str, AnswerFile], selection: Selection) -> None:
    """Refuse files and tasks that do not go together; RunError says what to give."""
    asked = {choice.spec.name: choice for choice in selection.tasks}
    for joint in selection.joints:
        parts = [str(part) for part in joint.data]
        if joint.name in files or not files.keys() >= set(parts):
            each = " ".join(f"{part}=FILE" for part in parts)
            raise RunError(f"{joint.name}: is scored from its parts; give {each}")
    for name in files.keys() - asked.keys():
        raise RunError(f"{name}: is not asked; {'; '.join(selection.notes)}")
    for name, choice in asked.items():
        if len(choice.styles) > 1:
            styles = ", ".join(style.name for style in choice.styles)
            raise RunError(
                f"{name}: answers were made under one style, not under {styles}; give one --styles"
            )


def describe_answers(name: str, digest: str, matched: Matched) -> Model:
    """Describe answers made elsewhere, of which only the files are known."""
    fixed = Settings(weights=digest, prompt_format=None, dtype=None, decoding=IMPORTED)
    runner = ImportedRunner(name, matched.responses)
    return Model(name, fixed, "", None, True, lambda trials, token_budget: runner)


def _check_live(settings: RunSettings, told: RunnerSettings) -> None:
    """Refuse a dtype or a device that a model in memory, which is left as it is, does not have."""
    for what, wanted, found in (
        ("dtype", DTYPES.get(settings.dtype or "", settings.dtype), told.dtype),
        ("device", settings.device, told.device),
    ):
        if wanted in (None, "auto", found) or str(found).startswith(f"{wanted}:"):
            continue
        raise RunnerError(
            f"{what} {wanted!r}: the model in memory has {found!r}, and is left as it is; leave "
            f"{what} out, or bring the model there"
        )


def _name(settings: RunSettings, told: RunnerSettings) -> str:
    """Name a live model after what it was loaded from, a plugin that says nothing after --model."""
    if settings.live_model is not None:
        config = getattr(settings.live_model, "config", None)
        origin = str(getattr(config, "name_or_path", "") or told.model)
    elif told.weights or settings.model is None:
        return told.model
    else:
        origin = settings.model
    # A hub id is a name as it is; of a folder the last part is.
    return Path(origin).resolve().name if Path(origin).exists() else origin
