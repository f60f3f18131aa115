"""Samples, then requests; and all else that is known before the model is loaded."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

from vipbench.console import Console
from vipbench.data.units import rule_of
from vipbench.engine.processes import probe_runner
from vipbench.engine.ray_actors import import_ray
from vipbench.errors import RunError, RunnerError, TooManyErrors
from vipbench.run.extend import Earlier, earlier_run, joined
from vipbench.run.settings import RunSettings
from vipbench.run.share import grouping
from vipbench.runfolder.manifest import Identity
from vipbench.runfolder.plan import BatchLimit, prompt_length
from vipbench.runfolder.sharing import Beginnings
from vipbench.runfolder.trials_file import Trials, write_trials
from vipbench.runners.checkpoints.download import find_folder
from vipbench.runners.device import check_names
from vipbench.runners.plugin import find_plugin
from vipbench.runners.registry import find_spec
from vipbench.runners.spec import (
    ONE_IMAGE,
    Model,
    ModelChoice,
    RunContext,
    RunnerSpec,
    Shared,
    Sizing,
)
from vipbench.schema import Trial
from vipbench.trials.make import TaskFacts, make_trials
from vipbench.trials.selection import Selection, select

SHOWN_PROBLEMS = 5


class Prepared(NamedTuple):
    """All that is known before the model is loaded."""

    spec: RunnerSpec
    model: Model
    selection: Selection
    trials: Trials
    facts: dict[str, TaskFacts]
    limit: BatchLimit
    """Of batches, unless the run was begun with another."""
    shared: Shared | None
    """Of a runner that reads once what requests have in common; None: it does not."""
    identity: Identity
    earlier: Earlier | None
    """The run that is extended, or was."""
    notes: tuple[str, ...]
    """What the user should know of tasks, styles, data and model; kept in the manifest."""
    way: tuple[str, ...]
    """How the model is asked and who says so, where it has a prompt format."""
    seconds: float
    """That this took."""


def prepare(settings: RunSettings, draft: Path, console: Console) -> Prepared:
    """Check the model as far as is possible unloaded, read the data, write the requests.

    Args:
        settings: of the run.
        draft: the file that takes the requests.
        console: is told what is left out, and what is not as it should be; shows bars.

    Raises:
        TooManyErrors: More samples of a task cannot be asked than `max_errors` allows.
        VipbenchError: Settings, data or model cannot be used, or the disk is full.
    """
    begun = time.monotonic()
    _check_shard(settings)
    spec = find_spec(settings.runner, is_live=settings.live_model is not None)(choice_of(settings))
    spec.check()
    selection = select(
        suite=settings.suite,
        tasks=settings.tasks,
        styles=spec.styles_of(settings.styles, settings.suite),
        data=settings.data,
        include=settings.include,
        fit=settings.fit,
        fit_hint=spec.fit_hint,
        fit_hint_from=spec.fit_hint_from,
    )
    earlier = earlier_run(settings)
    if earlier is not None and settings.extend:
        hint = (spec.fit_hint, spec.fit_hint_from)
        selection = joined(selection, settings, earlier, hint)
    spec.check_selection(selection)
    sizing = spec.size(selection.prompt_format)
    _check_budget(settings, sizing)
    _check_batches(settings, spec)

    shared, beginnings = sizing.shared if sizing else None, Beginnings()

    def keep(made: Iterator[Trial]) -> Trials:
        placed = made if earlier is None else earlier.placed(made)
        length = sizing.count if sizing else prompt_length
        if shared is None:
            return write_trials(draft, placed, length)
        group = grouping(shared, selection.images, beginnings)
        return write_trials(draft, placed, length, group, beginnings)

    trials, facts = make_trials(
        selection,
        keep,
        seed=settings.seed,
        subset_seed=settings.subset_seed,
        limit=settings.most_samples,
        ids=settings.ids,
        replay=settings.replay,
        console=console,
    )
    ids = {task: found.ids for task, found in facts.items()}
    data_notes = [note for found in facts.values() for note in found.notes]
    texts = (found.texts_note for found in facts.values() if found.texts_note)
    unused = spec.unused(selection.prompt_format)
    for note in (*spec.remarks(), *selection.notes, *data_notes, *unused, *texts):
        console.say(note)
    _check_data(facts, settings.max_errors)
    check_several(spec, facts)
    model = spec.describe(
        RunContext(selection.prompt_format, trials, ids, probe_runner, selection.suite)
    )
    way = _way_of_asking(model, selection)
    for note in (*way, *model.notes):
        console.say(note)
    return Prepared(
        spec=spec,
        model=model,
        selection=selection,
        trials=trials,
        facts=facts,
        limit=_batch_limit(settings, spec, trials, sizing.budget if sizing else None),
        shared=None if settings.no_share else shared,
        identity=_identity(settings, selection, model, facts),
        earlier=earlier,
        notes=(*selection.notes, *data_notes, *model.notes),
        way=way,
        seconds=time.monotonic() - begun,
    )


def check_options(settings: RunSettings) -> None:
    """Check what is wrong whichever checkpoint answers; no model is looked at, no data are read.

    Raises:
        VipbenchError: There is no such runner, task, style, data, device or base.
    """
    _check_shard(settings)
    find_spec(settings.runner)
    if ":" in settings.runner:
        find_plugin(settings.runner)
    check_names(settings.device, settings.dtype)
    if settings.base is not None:
        find_folder(settings.base, "--base")
    select(
        suite=settings.suite,
        tasks=settings.tasks,
        styles=settings.styles,
        data=settings.data,
        include=settings.include,
        fit=settings.fit,
    )


def _way_of_asking(model: Model, selection: Selection) -> tuple[str, ...]:
    """Say which prompt format and which fit are taken, and who says so, in one line."""
    if model.prompt_format_from is None:
        return ()
    fits: dict[tuple[str, str], list[str]] = {}
    for choice in selection.tasks:
        fits.setdefault((choice.fit, choice.fit_from), []).append(choice.spec.name)
    parts = [
        f"fit {fit} ({source})" + (f" for {', '.join(tasks)}" if len(fits) > 1 else "")
        for (fit, source), tasks in fits.items()
    ]
    asked = f"prompt format {model.settings.prompt_format} ({model.prompt_format_from})"
    return (", ".join([asked, *parts]),)


def _identity(
    settings: RunSettings, selection: Selection, model: Model, facts: Mapping[str, TaskFacts]
) -> Identity:
    """Say what makes this run the same run as another."""
    specs = [*(choice.spec for choice in selection.tasks), *selection.joints]
    return Identity(
        suite=selection.suite,
        tasks={spec.name: spec.version for spec in specs},
        styles={choice.spec.name: choice.styles for choice in selection.tasks},
        seed=settings.seed,
        limit=settings.most_samples,
        ids=tuple(sorted(set(settings.ids))),
        fits={choice.spec.name: choice.fit for choice in selection.tasks},
        runner=settings.runner,
        model=model.name,
        settings=model.settings,
        requests={task: found.digest for task, found in facts.items()},
        exif={
            choice.spec.name: "apply"
            for choice in selection.tasks
            if rule_of(choice.spec, choice.source) == "apply"
        },
    )


def choice_of(settings: RunSettings) -> ModelChoice:
    """Return what of a run's settings a runner may look at: the fields of the same names."""
    names = [field.name for field in fields(ModelChoice)]
    chosen = {name: getattr(settings, name) for name in names}
    return ModelChoice(**chosen | {"workers": settings.n_workers})


def is_limit_given(settings: RunSettings) -> bool:
    """Say whether the user says how large a batch may become."""
    return settings.batch_size != "auto" or settings.token_budget is not None


def token_limit(trials: Trials, token_budget: int) -> BatchLimit:
    """Limit batches to what fits; a request that has more is asked all the same."""
    return BatchLimit(tokens=max([token_budget, *(entry.length for entry in trials.entries)]))


def _batch_limit(
    settings: RunSettings, spec: RunnerSpec, trials: Trials, token_budget: int | None
) -> BatchLimit:
    """Say how large a batch may become: as the user says, else as fits into memory."""
    if settings.batch_size != "auto":
        return BatchLimit(settings.batch_size, settings.token_budget)
    if settings.token_budget is not None:
        return BatchLimit(tokens=settings.token_budget)
    if token_budget is not None:
        return token_limit(trials, token_budget)
    return BatchLimit(spec.batch_size)


def _check_shard(settings: RunSettings) -> None:
    """Refuse a judge for a shard, and Ray where it is not installed."""
    if settings.shard is not None and settings.judge is not None:
        raise RunError(
            f"--shard {settings.shard} with --judge-url: a shard has no scores · merge the shards, "
            "then give the judge to `vipbench score`"
        )
    if settings.engine == "ray":
        import_ray()


def _check_budget(settings: RunSettings, sizing: Sizing | None) -> None:
    """Refuse a budget of tokens for a runner that does not count them."""
    if sizing is None and settings.token_budget is not None:
        raise RunnerError(
            f"--token-budget {settings.token_budget}: runner {settings.runner} does not count "
            "tokens · give --batch-size N"
        )


def _check_batches(settings: RunSettings, spec: RunnerSpec) -> None:
    """Refuse batches for an endpoint, which is asked one question at a time."""
    if spec.asks_endpoint and settings.batch_size not in ("auto", 1):
        raise RunnerError(
            f"--batch-size {settings.batch_size}: runner {settings.runner} asks one question at a "
            "time · say with --concurrency N how many may be under way"
        )


def check_several(spec: RunnerSpec, facts: Mapping[str, TaskFacts]) -> None:
    """Refuse questions about several images for a runner that takes one."""
    several = {task: found for task, found in facts.items() if found.n_several}
    if not several or spec.several_images:
        return
    counts, styles = [], False
    for task, found in several.items():
        under = f" under {', '.join(found.several_styles)}" if found.several_styles else ""
        counts.append(f"{task}: {found.n_several:,} questions show several images{under}")
        styles = styles or bool(found.several_styles)
    others = [] if styles else [task for task in facts if task not in several]
    rest = f" · or ask the others: --tasks {','.join(others)}" if others else ""
    rest += " · or leave the style out" if styles else ""
    raise RunnerError(
        f"{'; '.join(counts)} · runner {spec.name} takes {ONE_IMAGE} · ask with --runner hf or "
        f"openai{rest}"
    )


def _check_data(facts: Mapping[str, TaskFacts], max_errors: float) -> None:
    """Stop before the model is loaded if too many samples cannot be asked at all."""
    messages = []
    for task, found in facts.items():
        errors = found.errors
        if len(errors) <= max_errors * found.n_asked:
            continue
        codes = ", ".join(f"{n} {code}" for code, n in Counter(e.code for e in errors).items())
        first = "; ".join(f"{error.id}: {error.message}" for error in errors[:SHOWN_PROBLEMS])
        messages.append(
            f"{task}: {len(errors):,} of {found.n_asked:,} samples cannot be asked ({codes}), more "
            f"than --max-errors {max_errors:g} allows; the first: {first}"
        )
    if messages:
        advice = "nothing was asked · `vipbench check TASK` lists all"
        raise TooManyErrors(f"{' · '.join(messages)} · {advice}")
