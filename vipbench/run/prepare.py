"""prepare: part of what was vipbench/run/loop.py."""

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from vipbench.console import QUIET, Console
from vipbench.errors import TooManyErrors
from vipbench.exchange.formats import read_answers
from vipbench.run.model import (
    Model,
    check_answers,
    check_settings,
    describe_answers,
    describe_model,
    find_sizing,
    unused,
)
from vipbench.run.settings import RunSettings
from vipbench.runfolder import trials_file
from vipbench.runfolder.manifest import Identity
from vipbench.runfolder.plan import BatchLimit, prompt_length
from vipbench.runfolder.trials_file import Trials
from vipbench.runners.imported import digest_files, match_answers, name_model
from vipbench.schema import Problem, Sample, TaskSpec
from vipbench.trials.make import TaskFacts, make_trials
from vipbench.trials.selection import Selection, select

AUTO_BATCH_SIZE = 32
"""Requests in a batch under `auto` where a runner does not count tokens; those of this package
halve a batch that does not fit into memory."""
AUTO_BATCH_SIZE_BASELINE = 1024
SHOWN_PROBLEMS = 5


class Prepared(NamedTuple):
    """All that is known before the model is loaded."""

    model: Model
    selection: Selection
    trials: Trials
    facts: dict[str, TaskFacts]
    limit: BatchLimit
    """Of batches, unless the run was begun with another."""
    identity: Identity
    seconds: float


# --- before the model is loaded


def _prepare(settings: RunSettings, draft: Path, console: Console | None) -> Prepared:
    """Resolve names, check the checkpoint, read the data, write the requests to `draft`.

    Without `console`, data of which too many samples cannot be asked are no error.
    """
    bars, begun = console or QUIET, time.monotonic()
    info = check_settings(settings)
    files = {
        task: read_answers(path, settings.answers_format) for task, path in settings.answers.items()
    }
    name = name_model(files, settings.model) if files else ""
    selection = select(
        suite=settings.suite,
        tasks=settings.tasks,
        styles=settings.styles,
        data=settings.data,
        include=settings.include,
        fit=settings.fit,
        fit_hint=info.hints.fit if info else None,
    )
    if files:
        check_answers(files, selection)
    facts: dict[str, TaskFacts] = {}

    def watch(loop: Iterable[Sample | Problem], what: str) -> Iterator[Sample | Problem]:
        return iter(bars.bar(what, loop, leave=False))

    sizing = find_sizing(settings, selection.prompt_format, info)
    trials = trials_file.write_trials(
        draft,
        make_trials(
            selection,
            seed=settings.seed,
            subset_seed=settings.subset_seed,
            limit=settings.limit,
            ids=settings.ids,
            facts=facts,
            replay=settings.replay,
            watch=watch,
        ),
        sizing.count if sizing else prompt_length,
    )
    matched = None
    if files:
        matched = match_answers(files, trials, {task: each.ids for task, each in facts.items()})
        selection = selection._replace(notes=(*selection.notes, *matched.notes))
    if console is not None:
        for note in (*selection.notes, *unused(settings, selection.prompt_format)):
            console.say(note)
        _check_data(facts, settings.max_errors)
    if matched is None:
        model = describe_model(settings, selection.prompt_format, info)
    else:
        model = describe_answers(name, digest_files(files), matched)
    identity = Identity(
        suite=selection.suite,
        tasks={spec.name: spec.version for spec in _specs(selection)},
        styles={choice.spec.name: choice.styles for choice in selection.tasks},
        seed=settings.seed,
        limit=settings.limit,
        ids=tuple(sorted(set(settings.ids))),
        fits={choice.spec.name: choice.fit for choice in selection.tasks},
        runner=settings.runner,
        model=model.name,
        settings=model.settings,
        requests={name: found.digest for name, found in facts.items()},
    )
    limit = _batch_limit(settings, model, trials, sizing.budget if sizing else None)
    seconds = time.monotonic() - begun
    return Prepared(model, selection, trials, facts, limit, identity, seconds)


def _specs(selection: Selection) -> list[TaskSpec]:
    return [*(choice.spec for choice in selection.tasks), *selection.joints]


def _check_data(found: dict[str, TaskFacts], max_errors: float) -> None:
    """Stop before the model is loaded if too many samples cannot be asked at all."""
    messages = []
    for task, facts in found.items():
        errors = facts.errors
        if len(errors) <= max_errors * facts.n_asked:
            continue
        codes = ", ".join(f"{n} {code}" for code, n in Counter(e.code for e in errors).items())
        first = "; ".join(f"{error.id}: {error.message}" for error in errors[:SHOWN_PROBLEMS])
        messages.append(
            f"{task}: {len(errors):,} of {facts.n_asked:,} samples cannot be asked ({codes}), more "
            f"than --max-errors {max_errors:g} allows; the first: {first}"
        )
    if messages:
        advice = "nothing was asked; `vipbench check TASK` lists all"
        raise TooManyErrors(f"{' · '.join(messages)} · {advice}")


def is_given(settings: RunSettings) -> bool:
    """Whether the user says how large a batch may become."""
    return settings.batch_size != "auto" or settings.token_budget is not None


def _batch_limit(
    settings: RunSettings, model: Model, trials: Trials, token_budget: int | None
) -> BatchLimit:
    """Say how large a batch may become: as the user says, else as fits into memory."""
    if settings.batch_size != "auto":
        return BatchLimit(settings.batch_size, settings.token_budget)
    if settings.token_budget is not None:
        return BatchLimit(tokens=settings.token_budget)
    if token_budget is not None:
        return token_limit(trials, token_budget)
    return BatchLimit(AUTO_BATCH_SIZE_BASELINE if model.is_baseline else AUTO_BATCH_SIZE)


def token_limit(trials: Trials, token_budget: int) -> BatchLimit:
    """Limit batches to what fits; a request that has more is asked all the same."""
    return BatchLimit(tokens=max([token_budget, *(entry.length for entry in trials.entries)]))
