"""The loop: samples -> requests -> pixels -> responses -> scores -> rows, in a run folder.

The same command goes on where it was stopped, and a finished one reprints without a model.
"""

import contextlib
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, get_args

from tqdm import tqdm

from vipbench.runfolder import manifest as manifests
from vipbench.report import leaderboard as report
from vipbench.scoring import scorers
from vipbench.runfolder import folder as store
from vipbench.engine.ray_actors import Actors
from vipbench.data.locate import is_synthetic
from vipbench.engine.batches import answer_batches
from vipbench.errors import (
    JudgeError,
    RunError,
    RunInterrupted,
    TooManyErrors,
    nearest,
)
from vipbench.exchange.formats import read_answers
from vipbench.judge.grading import JudgeSettings
from vipbench.judge.runs import judge_run
from vipbench.engine.loaders import count_ahead, count_loaders
from vipbench.runfolder.manifest import Identity, Manifest, TaskRun, Times
from vipbench.run.model import Model, check_answers, check_settings, describe_answers, describe_model, find_sizing, unused
from vipbench.runfolder.plan import BatchLimit, plan_batches, plan_digest, prompt_length
from vipbench.report.leaderboard import ALL, Row, SeedRow
from vipbench.runners import RUNNERS, Runner, settings_of, splits_of
from vipbench.runners.device import find_device, spread
from vipbench.runners.imported import (
    digest_files,
    match_answers,
    name_model,
)
from vipbench.schema import (
    AnswerPath,
    ExtraMetric,
    Problem,
    Sample,
    TaskSpec,
)
from vipbench.run.settings import VIPLLAVA, RunSettings
from vipbench.runfolder.shard import Shard
from vipbench.runfolder.folder import ResponseLine, ScoreLine, Trials
from vipbench.trials.make import Selection, TaskFacts, make_trials, select
from vipbench.engine.workers import Build, Crew, Workers

if TYPE_CHECKING:
    import pandas as pd

SEEDS = "seeds.json"
RUNS = Path("results/runs")
"""Where run folders go, below the working directory."""
AUTO_BATCH_SIZE = 32
"""Requests in a batch under `auto` where a runner does not count tokens; those of this package
halve a batch that does not fit into memory."""
AUTO_BATCH_SIZE_BASELINE = 1024
LINE_BYTES = 900
"""Typical bytes of a line of `responses.jsonl` and one of `scores.jsonl`, for a dry run."""
SHOWN_PROBLEMS = 5
DRAFT_SECONDS = 86_400
"""Age at which an unfinished list of requests belongs to no process any more."""

Say = Callable[[str], None]


class Ask(Protocol):
    """Answers batches of a plan, as `engine.answer_batches` and `Workers.answer` do."""

    def __call__(
        self,
        trials: Trials,
        plan: Sequence[Sequence[int]],
        todo: Sequence[int],
        *,
        write: Callable[[list[ResponseLine]], None],
    ) -> None:
        """Answer the batches `todo` of a plan; `write` takes the lines of each."""


class Results(NamedTuple):
    """A finished run."""

    path: Path
    rows: list[Row]
    manifest: Manifest
    n_answered: int
    """Requests that were answered just now; 0 where the run had been finished before."""

    @property
    def summary(self) -> "pd.DataFrame":
        """The rows of `summary.json`: one a task, style and group."""
        import pandas as pd  # slow to import

        return pd.DataFrame([row.model_dump() for row in self.rows], columns=list(Row.model_fields))

    @property
    def scores(self) -> "pd.DataFrame":
        """The lines of `scores.jsonl`: one a sample and style."""
        import pandas as pd  # slow to import

        lines = store.read_lines(self.path / store.SCORES, ScoreLine)
        columns = list(ScoreLine.model_fields)
        return pd.DataFrame([line.model_dump() for line in lines], columns=columns)


class DryRun(NamedTuple):
    """What a run would do."""

    path: Path
    counts: dict[tuple[str, str], int]
    """(task, style) -> samples that would be asked."""
    n_errors: dict[str, int]
    """Task -> samples that cannot be asked."""
    n_left: int
    """Requests that are not answered yet."""
    seconds: float | None
    """Expected for these; None where nothing was measured before."""
    seconds_from: str
    """What the expectation rests on."""
    n_bytes: int
    """Expected size of the run folder, of which the requests are exact."""
    notes: tuple[str, ...]


class _Prepared(NamedTuple):
    """All that is known before the model is loaded."""

    model: Model
    selection: Selection
    trials: Trials
    facts: dict[str, TaskFacts]
    limit: BatchLimit
    """Of batches, unless the run was begun with another."""
    identity: Identity
    seconds: float


@dataclass
class _Clock:
    """How far one start of a run came."""

    begun: float = field(default_factory=time.monotonic)
    loaded: float | None = None
    """When the model was loaded; None before."""
    answered: float | None = None
    """When all was answered, or this start ended before; None before."""
    n_answered: int = 0
    workers: Crew | None = None
    """Of this start, where there are any; else `runner` answers here."""
    runner: Runner | None = None


class _Loaded(NamedTuple):
    """A model, here or in workers."""

    ask: Ask
    token_budget: int | None
    """What fits into its memory, where that was tried."""


class _Started(NamedTuple):
    """A run folder, ready to be gone on with."""

    manifest: Manifest
    trials: Trials
    plan: list[tuple[int, ...]]
    todo: list[int]
    """Batches without answers."""


def run(settings: RunSettings, *, progress: bool = False, say: Say | None = None) -> Results:
    """Run tasks under styles with one model, or go on with a run that was stopped.

    Args:
        settings: what to run.
        progress: show bars with rate and time left on stderr.
        say: takes what the user should know: what is left out, what is gone on with.

    Raises:
        TooManyErrors: More samples of a task failed than `max_errors` allows. What is known before
            the model is loaded is raised then; the rest when all is written.
        RunInterrupted: Ctrl-C; the same settings go on.
        VipbenchError: Settings, data or model cannot be used, or the disk is full.
    """
    say = say or _silent
    settings = _placed(settings)
    place = settings.out or RUNS
    try:
        with contextlib.ExitStack() as stack:
            if settings.out:
                stack.enter_context(store.locked(settings.out))
                store.check_own(settings.out)
            draft = stack.enter_context(_draft(place, alone=settings.out is not None))
            prepared = _prepare(settings, draft, progress, say)
            folder = settings.out or RUNS / _folder_name(prepared.identity, settings)
            if settings.out is None:
                stack.enter_context(store.locked(folder))
            result = _run_in(folder, prepared, settings, progress, say)
    except KeyboardInterrupt:
        raise RunInterrupted(
            f"{place}: interrupted; what is answered is kept: give the same command to go on"
        ) from None
    for warning in report.lost_marks(result.manifest, result.rows):
        say(warning)
    check_errors(result, settings.max_errors)
    return result


def _run_in(
    folder: Path, prepared: _Prepared, settings: RunSettings, progress: bool, say: Say
) -> Results:
    finished = None if settings.fresh else _finished(folder, prepared.identity, settings)
    if finished is not None:
        say(f"{folder}: had been finished; nothing is asked again (--fresh redoes it)")
        if settings.judge is None or settings.shard is not None:
            return finished
        rows = _score(folder, finished.manifest, settings.judge, progress=progress, say=say)
        return finished._replace(rows=rows)
    started = _plan(folder, prepared, settings, say)
    n_left = sum(len(started.plan[batch]) for batch in started.todo)
    clock = _Clock()
    with contextlib.ExitStack() as stack:
        # First the model, so that one which cannot be loaded leaves nothing behind.
        loaded = _load(stack, prepared, started, settings, say, clock) if started.todo else None
        clock.loaded = time.monotonic()
        if loaded and loaded.token_budget is not None:
            limit, then = _token_limit(prepared.trials, loaded.token_budget), started.manifest
            if limit != then.batch_limit:
                say(f"{folder}: {then.batch_limit} do not fit into memory: {limit} a batch")
                started = _planned(prepared, settings, limit)
        trials = _begin(folder, started, fresh=settings.fresh)
        try:
            if loaded is not None:
                _answer(folder, started._replace(trials=trials), loaded.ask, progress, clock)
        finally:
            clock.answered = time.monotonic()
            stack.close()  # the memory of workers is known when they have ended
            manifest = _add_times(started.manifest, prepared.seconds, clock)
            with contextlib.suppress(RunError):  # where the disk is full, that is said already
                manifests.write(folder, manifest)
    if settings.shard is not None:
        manifest = manifest.model_copy(update={"finished": manifests.now()})
        manifests.write(folder, manifest)
        return Results(folder, [], manifest, n_left)
    rows = _score(folder, manifest, say=say if settings.judge is None else None)
    manifest = manifest.model_copy(update={"finished": manifests.now()})
    manifests.write(folder, manifest)
    if settings.judge is not None:
        rows = _score(folder, manifest, settings.judge, progress=progress, say=say)
    return Results(folder, rows, manifest, n_left)


def run_seeds(
    settings: RunSettings, n: int, *, progress: bool = False, say: Say | None = None
) -> tuple[Path, list[SeedRow]]:
    """Run the same with `n` seeds, from `settings.seed` on, and sum up the spread over them.

    Drawing, wording and sampling depend on the seed; the samples of `limit` are the same ones under
    each. Each seed has its run folder: `seed-<n>` below
    `settings.out`, or as `run` names it.

    Returns:
        The file that was written, `seeds.json` in `settings.out` or beside the run folders; and its
        rows.

    Raises:
        VipbenchError: As `run`.
    """
    if settings.shard is not None:
        raise RunError(
            f"--seeds with --shard {settings.shard}: a shard has no scores; give one --seed a run"
        )
    done = []
    for seed in range(settings.seed, settings.seed + n):
        out = settings.out / f"seed-{seed}" if settings.out else None
        changes = {"seed": seed, "subset_seed": settings.seed, "out": out}
        done.append(run(settings.model_copy(update=changes), progress=progress, say=say))
    rows = report.over_seeds([results.rows for results in done])
    first = done[0].path
    path = settings.out / SEEDS if settings.out else first.with_name(f"{first.name}-{n}-{SEEDS}")
    store.write_json(path, [row.model_dump(mode="json") for row in rows])
    return path, rows


def score(
    folder: Path,
    metrics: Sequence[str] = (),
    judge: JudgeSettings | None = None,
    ledger: Path | None = None,
    *,
    progress: bool = False,
    say: Say | None = None,
) -> Results:
    """Score a finished run again from its requests and responses, without a model.

    Args:
        folder: of the run.
        metrics: are reported from now on, beside those that the run reports already.
        judge: is asked for the grades that its ledger does not hold; None: nobody is asked, and a
            run that was judged keeps those grades.
        ledger: where the grades of a run that was judged lie now.
        progress: show a bar on stderr while grading.
        say: takes what the user should know of the judge.

    Raises:
        RunError: The folder holds no run, answers are missing, or a metric is unknown.
        JudgeError: The judge cannot be used, or stopped before its end; what it graded is kept.
    """
    for metric in metrics:
        if metric not in get_args(ExtraMetric):
            raise RunError(f"metric {metric!r} is unknown{nearest(metric, get_args(ExtraMetric))}")
    manifest = manifests.read(folder)
    with store.locked(folder):
        added = tuple(dict.fromkeys((*manifest.metrics, *metrics)))
        if added != manifest.metrics:
            manifest = manifest.model_copy(update={"metrics": added})
            manifests.write(folder, manifest)
        rows = _score(folder, manifest, judge, ledger, progress=progress, say=say)
    return Results(folder, rows, manifest, 0)


def dry_run(settings: RunSettings, *, progress: bool = False) -> DryRun:
    """Say what a run would do; reads all data and checks the model, but loads and writes nothing.

    Raises:
        VipbenchError: As `run`, for what can be known before the model is loaded.
    """
    settings = _placed(settings)
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / store.REQUESTS
        prepared = _prepare(settings, draft, progress, None)
        n_bytes = draft.stat().st_size + LINE_BYTES * len(prepared.trials)
    folder = settings.out or RUNS / _folder_name(prepared.identity, settings)
    goes_on = (folder / store.MANIFEST).exists() and not settings.fresh
    then = manifests.read(folder) if goes_on else None
    plan = plan_trials(prepared.trials, then.batch_limit if then else prepared.limit)
    mine = _mine(settings.shard, len(plan))
    keys = {prepared.trials.entries[place].name for batch in mine for place in plan[batch]}
    n_left = len(keys)
    if then is not None:
        manifests.check_same(folder, then.identity, prepared.identity)
        _check_path(folder, then, settings.path)
        n_left -= len(keys & set(store.read_responses(folder / store.RESPONSES)))
    per_request, seconds_from = _measured(folder.parent, prepared.identity)
    counts = Counter((name.task, name.style) for name, *_ in prepared.trials.entries)
    return DryRun(
        path=folder,
        counts=dict(counts),
        n_errors={task: len(facts.errors) for task, facts in prepared.facts.items()},
        n_left=n_left,
        seconds=None if per_request is None else per_request * n_left,
        seconds_from=seconds_from,
        n_bytes=n_bytes,
        notes=prepared.selection.notes,
    )


# --- before the model is loaded


def _prepare(settings: RunSettings, draft: Path, progress: bool, say: Say | None) -> _Prepared:
    """Resolve names, check the checkpoint, read the data, write the requests to `draft`.

    Without `say`, data of which too many samples cannot be asked are no error.
    """
    begun = time.monotonic()
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
        return iter(_bar(loop, what, progress, leave=False))

    sizing = find_sizing(settings, selection.prompt_format, info)
    trials = store.write_trials(
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
    if say is not None:
        for note in (*selection.notes, *unused(settings, selection.prompt_format)):
            say(note)
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
    return _Prepared(model, selection, trials, facts, limit, identity, seconds)


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


def check_errors(result: Results, max_errors: float) -> None:
    """Say after the run if too many samples failed in it."""
    messages = []
    for row in result.rows:
        n_asked = row.n + row.n_errors + row.n_ungraded
        if row.group == ALL and row.n_errors > max_errors * n_asked:
            each = f"{row.task} under {row.style}: {row.n_errors:,} of {n_asked:,} samples failed"
            messages += [each] if each not in messages else []  # once for all metrics
    if messages:
        lines = store.read_lines(result.path / store.SCORES, ScoreLine)
        first = next(f"{line.id}: {line.error}" for line in lines if line.error is not None)
        raise TooManyErrors(
            f"{'; '.join(messages)}; more than --max-errors {max_errors:g} allows, such as {first} "
            f"· all others are scored in {result.path}"
        )


# --- the run folder


def _check_path(folder: Path, then: Manifest, path: AnswerPath) -> None:
    """Refuse to mix the paths of a runner in one folder: in 16 bit they round otherwise."""
    if then.identity.runner == VIPLLAVA and (then.path or "fast") != path:
        raise RunError(
            f"{folder}: was answered on path {then.path or 'fast'}, not {path}; give "
            f"--path {then.path or 'fast'} to go on with it, another -o, or --fresh to replace it"
        )


def _placed(settings: RunSettings) -> RunSettings:
    """Give a shard a folder of its own below the one that is named for all of them."""
    if settings.shard is None or settings.out is None:
        return settings
    return settings.model_copy(update={"out": settings.out / settings.shard.folder})


def _mine(shard: Shard | None, n: int) -> range:
    """Return which of `n` batches are asked."""
    return range(n) if shard is None else shard.batches(n)


def _folder_name(identity: Identity, settings: RunSettings) -> str:
    """Name the folder of a run, or of a shard of it, for which no -o is given."""
    name = manifests.run_id(identity)
    return name if settings.shard is None else f"{name}-{settings.shard.folder}"


def _finished(folder: Path, identity: Identity, settings: RunSettings) -> Results | None:
    """Read a run that has ended already; None where there is something left to do."""
    if not (folder / store.MANIFEST).exists():
        return None
    manifest = manifests.read(folder)
    manifests.check_same(folder, manifest.identity, identity)
    _check_path(folder, manifest, settings.path)
    shard = settings.shard
    if manifest.shard != shard:
        then, now = (f"shard {each}" if each else "a whole run" for each in (manifest.shard, shard))
        raise RunError(
            f"{folder}: holds {then}, not {now}; give another -o, or --fresh to replace it"
        )
    if shard is not None:
        is_done = manifest.finished is not None and (folder / store.REQUESTS).exists()
        return Results(folder, [], manifest, 0) if is_done else None
    files = (store.REQUESTS, store.RESPONSES, store.SCORES, store.SUMMARY)
    if manifest.finished is None or not all((folder / name).exists() for name in files):
        return None
    return Results(folder, report.read_summary(folder), manifest, 0)


def _plan(folder: Path, prepared: _Prepared, settings: RunSettings, say: Say) -> _Started:
    """Say what a new run asks, or find what is left of one that was stopped."""
    found = [name for name in store.FILES if (folder / name).exists()]
    then = None
    if found and not settings.fresh:
        if store.MANIFEST not in found:
            raise RunError(
                f"{folder}: holds {found[0]} without {store.MANIFEST}, so nobody knows what was "
                "asked; give another -o, or --fresh to replace it"
            )
        then = manifests.read(folder)
    if then is None:
        return _planned(prepared, settings, prepared.limit)
    plan = plan_trials(prepared.trials, then.batch_limit)
    mine = _mine(settings.shard, len(plan))
    if then.plan_digest != plan_digest(plan):
        raise RunError(
            f"{folder}: vipbench {then.versions.get('vipbench')} planned its batches otherwise; go "
            "on with that version, or use --fresh to start over"
        )
    done = store.resume_responses(folder / store.RESPONSES, plan, prepared.trials)
    say(f"{folder}: goes on; {len(done)} of {len(mine)} batches are answered")
    if _is_given(settings) and then.batch_limit != prepared.limit:
        say(
            f"{folder}: keeps the batches of {then.batch_limit} of its first start, not "
            f"{prepared.limit}, so that the answers are those of an uninterrupted run"
        )
    now = manifests.versions()
    changed = [
        f"{name} {old} → {now.get(name)}"
        for name, old in then.versions.items()
        if now.get(name) != old
    ]
    if changed:
        say(f"{folder}: was started with other versions: {', '.join(changed)}")
    manifest = then.model_copy(
        update={
            "n_starts": then.n_starts + 1,
            "finished": None,
            "workers": settings.workers,
            "engine": settings.engine,
        }
    )
    todo = [i for i in mine if i not in done]
    return _Started(manifest, prepared.trials, plan, todo)


def _planned(prepared: _Prepared, settings: RunSettings, limit: BatchLimit) -> _Started:
    """Plan a new run."""
    plan = plan_trials(prepared.trials, limit)
    manifest = _new_manifest(prepared, settings, limit, plan)
    return _Started(manifest, prepared.trials, plan, list(_mine(settings.shard, len(plan))))


def plan_trials(trials: Trials, limit: BatchLimit) -> list[tuple[int, ...]]:
    """Return the places in `trials` that each batch of a run holds."""
    asked = [i for i, entry in enumerate(trials.entries) if entry.key is not None]
    entries = [trials.entries[i] for i in asked]
    samples = [(entry.name.task, entry.name.id) for entry in entries]
    batches = plan_batches([entry.length for entry in entries], limit, samples)
    return [tuple(asked[i] for i in batch) for batch in batches]


def _load(
    stack: contextlib.ExitStack,
    prepared: _Prepared,
    started: _Started,
    settings: RunSettings,
    say: Say,
    clock: _Clock,
) -> _Loaded:
    """Load the model, here or in workers that end with `stack`."""
    # What the user chose is not tried, nor is what a run was begun with.
    chosen = _is_given(settings) or started.manifest.n_starts > 1
    token_budget = None if chosen else started.manifest.token_budget
    images = {choice.spec.name: choice.source.images for choice in prepared.selection.tasks}
    model = prepared.model
    n_loaders = count_loaders(settings.loaders, model.device, settings.workers)
    if not settings.has_workers or model.build is None:
        runner = clock.runner = model.load(started.trials, token_budget)
        ahead = count_ahead(n_loaders, model.device)
        ask = partial(answer_batches, ahead=ahead, n_loaders=n_loaders, say=say)
        told = settings_of(runner, settings.runner)
        return _Loaded(partial(ask, runner, settings.runner, images=images), told.token_budget)
    build = partial(model.build, token_budget=token_budget) if token_budget else model.build
    n = min(settings.workers, len(started.todo))
    crew = _hire(model, build, n, n_loaders, images, settings, say)
    clock.workers = stack.enter_context(crew)
    return _Loaded(crew.answer, crew.load().settings.token_budget)


def _hire(
    model: Model,
    build: Build,
    n: int,
    n_loaders: int,
    images: Mapping[str, Path],
    settings: RunSettings,
    say: Say,
) -> Crew:
    """Choose `n` workers, here or on a cluster; none of them is started yet."""
    ahead = count_ahead(n_loaders, model.device)
    is_built_in = settings.runner in RUNNERS  # others choose their device themselves
    if settings.engine == "ray":
        return Actors(
            *(build, settings.runner, [model.device if is_built_in else None] * n, images, say),
            resource="GPU" if model.device.startswith("cuda") else "CPU",
            ahead=ahead,
            n_loaders=n_loaders,
            weights=model.weights,
        )
    if model.device == "cpu" and settings.workers > (os.cpu_count() or 1):
        say(f"--workers {settings.workers}: are more than the {os.cpu_count()} cores here")
    return Workers(
        build,
        settings.runner,
        spread(find_device(model.device), n) if is_built_in else [None] * n,
        images,
        say,
        ahead=ahead,
        n_loaders=n_loaders,
        weights=model.weights,
    )


def _begin(folder: Path, started: _Started, *, fresh: bool) -> Trials:
    """Write what a run consists of before its first answer; return its trials where they lie now.

    The manifest comes first: files without one are somebody else's.
    """
    if fresh:
        store.remove_run(folder)
    manifests.write(folder, started.manifest)
    store.append_responses(folder / store.RESPONSES, [])  # a run without any answer ends, too
    # The same bytes, if it is there already; and nobody reads it meanwhile.
    return store.move_trials(started.trials, folder / store.REQUESTS)


def _is_given(settings: RunSettings) -> bool:
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
        return _token_limit(trials, token_budget)
    return BatchLimit(AUTO_BATCH_SIZE_BASELINE if model.is_baseline else AUTO_BATCH_SIZE)


def _token_limit(trials: Trials, token_budget: int) -> BatchLimit:
    """Limit batches to what fits; a request that has more is asked all the same."""
    return BatchLimit(tokens=max([token_budget, *(entry.length for entry in trials.entries)]))


def _new_manifest(
    prepared: _Prepared, settings: RunSettings, limit: BatchLimit, plan: Sequence[Sequence[int]]
) -> Manifest:
    commit, dirty = manifests.checkout()
    settings_digest = manifests.settings_digest(prepared.identity.settings)
    return Manifest(
        run_id=manifests.run_id(prepared.identity),
        identity=prepared.identity,
        settings_digest=settings_digest,
        certificate=manifests.find_certificate(settings_digest, prepared.model.device),
        tasks=_task_runs(prepared),
        n_requests=len(prepared.trials),
        metrics=tuple(dict.fromkeys((*prepared.selection.metrics, *settings.metrics))),
        path=settings.path if settings.runner == VIPLLAVA else None,
        replay=settings.replay,
        converted_from=prepared.model.converted_from,
        image_size=prepared.model.image_size,
        notes=prepared.selection.notes,
        batch_size=limit.requests,
        token_budget=limit.tokens,
        n_batches=len(plan),
        plan_digest=plan_digest(plan),
        shard=settings.shard,
        workers=settings.workers,
        engine=settings.engine,
        device=prepared.model.device,
        versions=manifests.versions(),
        commit=commit,
        dirty=dirty,
        started=manifests.now(),
    )


def _task_runs(prepared: _Prepared) -> dict[str, TaskRun]:
    """Describe each task as it is run; a joint one by its parts."""
    runs = {}
    for choice in prepared.selection.tasks:
        spec, facts = choice.spec, prepared.facts[choice.spec.name]
        runs[spec.name] = TaskRun(
            version=spec.version,
            kind=spec.kind,
            headline=choice.headline,
            fit=choice.fit,
            breakdown=_axes(prepared.selection, spec),
            chance=spec.chance,
            redistribute=spec.redistribute,
            questions=str(choice.source.questions.absolute()),
            images=str(choice.source.images.absolute()),
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
            breakdown=_axes(prepared.selection, spec),
            chance=spec.chance,
            redistribute=spec.redistribute,
            synthetic=any(part.synthetic for part in parts),
            n_samples=parts[0].n_samples,
        )
    return runs


def _axes(selection: Selection, spec: TaskSpec) -> tuple[str, ...]:
    """Return the tags that a task's breakdown lists: the suite's, what styles vary, its own."""
    styles = [style for choice in selection.tasks for style in choice.styles]
    swept = ("width", "alpha") if any(style.inline for style in styles) else ()
    moved = ("position",) if any(style.kind == "permuted" for style in styles) else ()
    return tuple(dict.fromkeys((*selection.breakdown, *swept, *moved, *spec.breakdown)))


def _answer(
    folder: Path,
    started: _Started,
    ask: Ask,
    progress: bool,
    clock: _Clock,
) -> None:
    """Answer the batches that are left; each is on the disk before the next is asked."""
    responses = folder / store.RESPONSES
    mine = _mine(started.manifest.shard, len(started.plan))
    n_all, n_left = (
        sum(len(started.plan[batch]) for batch in batches) for batches in (mine, started.todo)
    )
    with _bar(None, "answering", progress, total=n_all, initial=n_all - n_left) as bar:

        def write(lines: list[ResponseLine]) -> None:
            store.append_responses(responses, lines)
            clock.n_answered += len(lines)
            bar.update(len(lines))

        ask(started.trials, started.plan, started.todo, write=write)


def _add_times(manifest: Manifest, prepare: float, clock: _Clock) -> Manifest:
    then, now = manifest.times, clock.answered or time.monotonic()
    loaded = now if clock.loaded is None else clock.loaded
    load, generate = loaded - clock.begun, now - loaded
    times = Times(
        prepare=round(then.prepare + prepare, 3),
        load=round(then.load + load, 3),
        generate=round(then.generate + generate, 3),
        n_answered=then.n_answered + clock.n_answered,
        total=round(then.total + prepare + load + generate, 3),
    )
    peak = max(manifest.peak_memory_mib, manifests.peak_memory_mib())
    n_restarts, n_splits = manifest.n_worker_restarts, manifest.n_splits
    if clock.workers is not None:
        n_restarts += clock.workers.n_restarts
        n_splits += clock.workers.n_splits
    elif clock.runner is not None:
        n_splits += splits_of(clock.runner)
    return manifest.model_copy(
        update={
            "times": times,
            "peak_memory_mib": peak,
            "n_worker_restarts": n_restarts,
            "n_splits": n_splits,
        }
    )


# --- after the model


def _score(
    folder: Path,
    manifest: Manifest,
    judge: JudgeSettings | None = None,
    ledger: Path | None = None,
    *,
    progress: bool = False,
    say: Say | None = None,
) -> list[Row]:
    """Write `scores.jsonl` and `summary.json` from requests and responses; no times in them.

    Where a judge stops before its end, that is raised when both are written.
    """
    if manifest.shard is not None:
        raise RunError(
            f"{folder}: is shard {manifest.shard} of a run, and has no scores; put all shards "
            "together with `vipbench merge`"
        )
    answered = _answered(folder, manifest)
    extra = set(manifest.metrics)
    if not answered.has_option_logprobs:
        if say and scorers.OPTION_ARGMAX in extra:
            say(f"{folder}: metric {scorers.OPTION_ARGMAX}: {scorers.NO_LOGPROBS}; it is left out")
        extra.discard(scorers.OPTION_ARGMAX)
    judged = judge_run(folder, answered, judge, ledger, progress=progress, say=say)
    options, summary = scorers.OptionNote(), report.Summary(manifest)

    def own_lines() -> Iterator[ScoreLine]:
        for trial, response in answered:
            for metric in scorers.metrics_of(trial.kind, extra):
                yield scorers.score_line(trial, response, metric)
            if graded := judged.line(trial, response):
                yield graded
            if say:
                options.add(trial, response)

    def lines() -> Iterator[ScoreLine]:
        for line in _with_joints(manifest, own_lines()):
            summary.add(line)
            yield line

    store.write_lines(folder / store.SCORES, lines())
    if say and (note := options.text()):
        say(note)
    rows = summary.rows()
    store.write_json(folder / store.SUMMARY, [row.model_dump(mode="json") for row in rows])
    if judged.stopped is not None:
        raise JudgeError(
            f"{judged.stopped} · {folder}: what is graded is kept and scored, the rest is "
            "ungraded; the same command asks for the rest"
        )
    return rows


def _with_joints(manifest: Manifest, lines: Iterable[ScoreLine]) -> Iterator[ScoreLine]:
    """Yield the lines of all tasks that are asked, then those of the joint tasks."""
    with contextlib.ExitStack() as stack:
        joints = [
            stack.enter_context(scorers.Joint(name, task.parts))
            for name, task in manifest.tasks.items()
            if task.parts
        ]
        for line in lines:
            for joint in joints:
                joint.add(line)
            yield line
        for joint in joints:
            yield from joint.lines()


def _answered(folder: Path, manifest: Manifest) -> store.Answered:
    """Return the trials of a run with their answers; RunError where one has none."""
    trials = store.open_trials(folder / store.REQUESTS)
    if len(trials) != manifest.n_requests or not manifest.tasks.keys() >= {
        entry.name.task for entry in trials.entries
    }:
        raise RunError(
            f"{folder / store.REQUESTS}: does not hold the {manifest.n_requests:,} requests that "
            f"{store.MANIFEST} tells of; remove it, then give the command of the run again"
        )
    answered = store.Answered(trials, folder / store.RESPONSES)
    if answered.n_missing:
        raise RunError(
            f"{folder}: {answered.n_missing:,} of {len(trials):,} requests have no answer yet; "
            "give the command of the run again to go on with it"
        )
    return answered


def _measured(runs: Path, identity: Identity) -> tuple[float | None, str]:
    """Return seconds a request in the latest run with the same model, and which run that was."""
    found: list[tuple[str, float, str]] = []
    for path in runs.glob(f"*/{store.MANIFEST}"):
        try:
            manifest = manifests.read(path.parent)
        except RunError:
            continue  # another version's, or broken: no measure
        then = manifest.identity
        same = (then.model, then.runner, then.settings) == (
            identity.model,
            identity.runner,
            identity.settings,
        )
        if same and manifest.times.n_answered:
            per_request = manifest.times.generate / manifest.times.n_answered
            where = f"measured in {path.parent} on {manifest.device}"
            found.append((manifest.finished or manifest.started, per_request, where))
    if not found:
        return None, f"unknown: no earlier run of this model in {runs}"
    _, per_request, where = max(found)
    return per_request, where


# --- small things


@contextlib.contextmanager
def _draft(place: Path, *, alone: bool) -> Iterator[Path]:
    """Lend a file beside which the run folder is, or in it; what is left there is removed.

    So is what a killed process has left: at once where no other process can be at work in the
    folder (`alone`), else after a day.
    """
    draft = place / f".requests-{os.getpid()}-{time.monotonic_ns()}.part"
    with store.made(place):
        for stale in place.glob(".requests-*.part"):
            with contextlib.suppress(OSError):
                if alone or time.time() - stale.stat().st_mtime > DRAFT_SECONDS:
                    stale.unlink()
        try:
            yield draft
        finally:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)


def _bar(
    loop: Iterable[Sample | Problem] | None,
    what: str,
    progress: bool,
    total: int | None = None,
    initial: int = 0,
    leave: bool = True,
) -> "tqdm[Sample | Problem]":
    """Show how far a loop is, with rate and time left, on stderr; in a log only now and then."""
    return tqdm(
        loop,
        desc=what,
        total=total,
        initial=initial,
        leave=leave,
        unit=" samples",
        disable=not progress,
        mininterval=0.2 if sys.stderr.isatty() else 10,
        dynamic_ncols=True,
    )


def _silent(message: str) -> None:
    """Say nothing."""
