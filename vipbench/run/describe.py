"""The manifest: what is run, described before the first answer, and what it took."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vipbench import environment
from vipbench.data.synthetic import is_synthetic
from vipbench.engine.each import OneByOne
from vipbench.engine.in_process import Backend
from vipbench.prompts.variants import varied
from vipbench.report.names import name_of_folder, step_of
from vipbench.run.prepare import Prepared
from vipbench.run.settings import RunSettings
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.manifest import FORMAT, IMPORTED, Manifest, TaskRun, Times
from vipbench.runfolder.plan import BatchLimit, plan_digest
from vipbench.runfolder.sharing import Readings, Sharing
from vipbench.schema import ImageRoots, TaskSpec
from vipbench.scoring.scorers import suitable_rule
from vipbench.trials.selection import Selection

TRAINER_STATE = "trainer_state.json"
"""In which transformers' Trainer leaves how far it has come, beside each checkpoint."""


def new_manifest(
    prepared: Prepared,
    settings: RunSettings,
    limit: BatchLimit,
    plan: Sequence[Sequence[int]],
    sharing: Sharing | None = None,
) -> Manifest:
    """Describe a run before its first answer."""
    commit, dirty = environment.checkout()
    settings_digest = manifests.settings_digest(prepared.identity.settings)
    is_elsewhere = prepared.spec.asks_endpoint or settings.runner == IMPORTED
    folder = _folder(settings, is_elsewhere=is_elsewhere)
    return Manifest(
        format=FORMAT,
        run_id=manifests.run_id(prepared.identity),
        name=_name(settings, prepared.model.name),
        model_path=_path_text(folder) if folder else "",
        step=None if folder is None else step_in(folder),
        identity=prepared.identity,
        settings_digest=settings_digest,
        certificate=manifests.find_certificate(settings_digest, prepared.model.device),
        tasks=_task_runs(prepared),
        parts=dict(prepared.model.parts),
        n_requests=len(prepared.trials),
        metrics=tuple(dict.fromkeys((*prepared.selection.metrics, *settings.metrics))),
        path=prepared.spec.path,
        replay=settings.replay,
        converted_from=prepared.model.converted_from,
        image_size=prepared.model.image_size,
        prompt_format_from=prepared.model.prompt_format_from,
        notes=prepared.notes,
        batch_size=limit.requests,
        token_budget=limit.tokens,
        blocks=settings.blocks,
        n_batches=len(plan),
        plan_digest=plan_digest(plan),
        sharing=sharing,
        shard=settings.shard,
        workers=settings.n_workers,
        engine=settings.engine,
        device=prepared.model.device,
        versions=environment.versions(prepared.model.packages),
        commit=commit,
        dirty=dirty,
        started=environment.now(),
        variables=settings.variables,
    )


def _name(settings: RunSettings, model: str) -> str:
    """Name the model after its folder; empty where its own name will do."""
    config = getattr(settings.live_model, "config", None)
    origin = settings.model or settings.adapter or getattr(config, "name_or_path", None)
    if not isinstance(origin, str) or not origin:
        return ""
    if settings.adapter:
        return _adapted_name(Path(settings.adapter).expanduser(), model)
    folder = Path(origin).expanduser()
    if not folder.is_dir() or folder.resolve().name != model:
        return ""
    name = name_of_folder(folder)
    return "" if name == model else name


def _folder(settings: RunSettings, *, is_elsewhere: bool) -> Path | None:
    """Return the folder of the model, or of its adapter; None where it answers from elsewhere.

    A model in memory may have been trained further than the folder that it came from.
    """
    origin = settings.adapter or settings.model
    if settings.live_model is not None or origin is None or is_elsewhere:
        return None
    folder = Path(origin).expanduser()
    return folder.resolve() if folder.is_dir() else None


def _path_text(folder: Path) -> str:
    """Write a path as it may be shown to others: below the home folder as `~/…`."""
    try:
        return f"~/{folder.relative_to(Path.home().resolve())}"
    except (ValueError, RuntimeError):  # elsewhere, or there is no home
        return str(folder)


def step_in(folder: Path) -> int | None:
    """Return the training step that a folder tells, by its name or by what its trainer saved."""
    named = step_of(name_of_folder(folder))
    if named is not None:
        return named
    path = folder / TRAINER_STATE
    try:
        # Not by the rules of our own files: a loss in it may be NaN.
        state = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):  # it is broken: nothing depends on a step
        return None
    step = state.get("global_step") if isinstance(state, dict) else None
    return step if isinstance(step, int) and not isinstance(step, bool) and step >= 0 else None


def _adapted_name(adapter: Path, model: str) -> str:
    """Name a model by its adapter's folder, with those above it as far as it tells too little."""
    if not adapter.is_dir():
        return ""
    name = f"{model.removesuffix(adapter.resolve().name)}{name_of_folder(adapter)}"
    return "" if name == model else name


def _task_runs(prepared: Prepared) -> dict[str, TaskRun]:
    """Describe each task as it is run; a joint one by its parts."""
    runs = {}
    for choice in prepared.selection.tasks:
        spec, facts = choice.spec, prepared.facts[choice.spec.name]
        runs[spec.name] = TaskRun(
            version=spec.version,
            kind=spec.kind,
            headline=choice.headline,
            fit=choice.fit,
            rule=suitable_rule(spec.kind, choice.rule or prepared.spec.rule),
            breakdown=_axes(prepared.selection, spec),
            chance=spec.chance,
            redistribute=spec.redistribute,
            questions=str(choice.source.questions.absolute()),
            images=_absolute(choice.source.image_roots),
            synthetic=is_synthetic(choice.source),
            n_samples=facts.n_samples,
            problems=dict(sorted(facts.problems.items())),
            image_modes=dict(Counter(m for m in facts.image_modes.values() if m != "RGB")),
            boxes_for_polygons=facts.boxes_for_polygons,
        )
    for spec in prepared.selection.joints:
        parts = [runs[name] for name in spec.data]
        runs[spec.name] = TaskRun(
            version=spec.version,
            kind=spec.kind,
            parts=tuple(spec.data),
            headline=parts[0].headline,
            fit=parts[0].fit,
            rule=parts[0].rule,
            breakdown=_axes(prepared.selection, spec),
            chance=spec.chance,
            redistribute=spec.redistribute,
            synthetic=any(part.synthetic for part in parts),
            n_samples=parts[0].n_samples,
        )
    return runs


def _absolute(roots: ImageRoots) -> str | tuple[str, ...]:
    if isinstance(roots, Path):
        return str(roots.absolute())
    return tuple(str(root.absolute()) for root in roots)


def _axes(selection: Selection, spec: TaskSpec) -> tuple[str, ...]:
    """Return the tags that a task's breakdown lists: the suite's, what styles vary, its own."""
    styles = [style for choice in selection.tasks for style in choice.styles]
    swept = ("width", "alpha") if any(style.inline for style in styles) else ()
    told = varied(styles)
    moved = ("position",) if any(style.kind == "permuted" for style in styles) else ()
    return tuple(dict.fromkeys((*selection.breakdown, *swept, *told, *moved, *spec.breakdown)))


def add_times(manifest: Manifest, spent: Times, backend: Backend | None) -> Manifest:
    """Add what one start took, in seconds and in restarts."""
    times = {
        name: round(getattr(manifest.times, name) + getattr(spent, name), 3)
        for name in Times.model_fields
    }
    if isinstance(backend, OneByOne):
        manifest = backend.noted(manifest)
    n_restarts, n_splits = (backend.n_restarts, backend.n_splits) if backend else (0, 0)
    manifest = manifest.with_readings(backend.readings if backend else Readings())
    return manifest.model_copy(
        update={
            "times": Times.model_validate(times),
            "peak_memory_mib": max(manifest.peak_memory_mib, environment.peak_memory_mib()),
            "n_worker_restarts": manifest.n_worker_restarts + n_restarts,
            "n_splits": manifest.n_splits + n_splits,
        }
    )
