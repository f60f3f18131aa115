"""What a run asks: counted where the data are here, by the published size where they are not."""

import itertools
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from vipbench.console import Console
from vipbench.data.task_data import locate_task
from vipbench.errors import DataNotFound
from vipbench.judge.rubric import message
from vipbench.judge.settings import JudgeSettings
from vipbench.planning.records import Row
from vipbench.run.prepare import check_several
from vipbench.run.settings import RunSettings
from vipbench.runfolder.trials_file import Trials, write_trials
from vipbench.runners.spec import Estimate, RunnerSpec
from vipbench.schema import DataSource, Kind, PromptStyle, Request, TaskSpec
from vipbench.trials.make import TaskFacts, make_trials
from vipbench.trials.selection import Selection, TaskChoice, select

NOWHERE = DataSource(Path("not here"), Path("not here"))
"""Stands for data that are not here."""
BYTES_PER_TOKEN = 4
"""Of English text, in LLaMA's tokens; the rough middle of 3.5 and 4.5."""
FRAME_TOKENS = 40
"""Of the official conversations around the user's text (`llava_v1`: 39)."""
TEXT_TOKENS = 110
"""Of a prompt without its image, where the data are not here, with its frame: what `vipbench bench`
takes for letters (686 tokens, of which 576 are the image)."""
REQUEST_BYTES = 1_400
"""Typical bytes of a line of `requests.jsonl`, where the data are not here; those of VCR with its
outlines are longer."""
ANSWER_TOKENS: Mapping[Kind, int] = {"choice": 2, "short_answer": 3, "graded": 28}
"""Tokens of an answer, its end among them: a letter; a word; the mean of the answers that were
released for ViP-Bench (`bench.requests.OPEN_ANSWERS`)."""
_ANSWER = "x" * (ANSWER_TOKENS["graded"] * BYTES_PER_TOKEN)
"""Stands for an answer that is to be graded."""
_QUESTION = "x" * ((TEXT_TOKENS - FRAME_TOKENS) * BYTES_PER_TOKEN)


@dataclass
class Load:
    """The requests of one task under one style, as far as arithmetic needs them."""

    task: str
    style: str
    kind: Kind
    is_read: bool
    max_new_tokens: int
    n: int = 0
    n_unusable: int = 0
    n_pictures: int = 0
    n_text_tokens: int = 0
    """Of all prompts together, without images."""
    questions: list[str] = field(default_factory=list)
    """For a judge, once each."""

    @property
    def n_answered(self) -> int:
        """Requests that can be asked."""
        return self.n - self.n_unusable

    @property
    def answer_tokens(self) -> int:
        """Of one answer, its end among them."""
        return min(ANSWER_TOKENS[self.kind], self.max_new_tokens)


@dataclass(frozen=True)
class Asked:
    """All that is asked."""

    loads: tuple[Load, ...]
    n_images: Mapping[str, int]
    """Task -> different images, of tasks whose data are here."""
    n_bytes: int
    """Of `requests.jsonl`."""
    estimate: Estimate | None
    """What an endpoint is sent."""

    def rows(self) -> tuple[Row, ...]:
        """Return what a plan says of them."""
        return tuple(
            Row(
                task=load.task,
                style=load.style,
                n_requests=load.n,
                n_unusable=load.n_unusable,
                n_pictures=load.n_pictures,
                n_images=self.n_images.get(load.task),
                is_read=load.is_read,
            )
            for load in self.loads
        )

    @property
    def unread(self) -> list[str]:
        """Tasks whose data are not here."""
        return list(dict.fromkeys(load.task for load in self.loads if not load.is_read))


def choose(settings: RunSettings, spec: RunnerSpec) -> Selection:
    """Select tasks and styles as a run does; data that are not here are NOWHERE."""
    return select(
        suite=settings.suite,
        tasks=settings.tasks,
        styles=spec.styles_of(settings.styles, settings.suite),
        data=settings.data,
        include=settings.include,
        fit=settings.fit,
        find=_find,
    )


def _find(spec: TaskSpec, data: Mapping[str, DataSource]) -> DataSource:
    """Find the data of a task; what the user has named has to be there."""
    try:
        return locate_task(spec, data)
    except DataNotFound:
        if spec.data in data or "samples" not in spec.reference:
            raise
        return NOWHERE


def is_here(choice: TaskChoice) -> bool:
    """Say whether the data of a task are here."""
    return choice.source is not NOWHERE


def count_asked(
    settings: RunSettings, selection: Selection, spec: RunnerSpec, console: Console
) -> Asked:
    """Count what is asked; reads all data that are here, and opens their images.

    Raises:
        DataError: A file of the data is broken, or ids are unknown.
        RunnerError: The runner takes one image, and questions show several.
    """
    here = tuple(choice for choice in selection.tasks if is_here(choice))
    names = {choice.spec.name for choice in here}
    joints = tuple(joint for joint in selection.joints if names.issuperset(joint.data))
    with tempfile.TemporaryDirectory() as scratch:
        draft = Path(scratch) / "requests.jsonl"
        trials, facts = _make(
            settings, selection._replace(tasks=here, joints=joints), draft, console
        )
        check_several(spec, facts)
        read, n_images = _read(trials, here, settings.judge)
        n_bytes = draft.stat().st_size if here else 0
        unread = [
            _published(choice, style, settings)
            for choice in selection.tasks
            if not is_here(choice)
            for style in choice.styles
        ]
        n_bytes += REQUEST_BYTES * sum(load.n for load in unread)
        estimate = spec.estimate(itertools.chain(_requests(trials), _stand_ins(unread)))
    by_name = {(load.task, load.style): load for load in (*read, *unread)}
    loads = [
        by_name[choice.spec.name, style.name]
        for choice in selection.tasks
        for style in choice.styles
        if (choice.spec.name, style.name) in by_name
    ]
    return Asked(tuple(loads), n_images, n_bytes, estimate)


def _make(
    settings: RunSettings, selection: Selection, draft: Path, console: Console
) -> tuple[Trials, dict[str, TaskFacts]]:
    """Write the requests of the tasks that are here."""
    if not selection.tasks:
        return Trials(draft, ()), {}
    return make_trials(
        selection,
        partial(write_trials, draft),
        seed=settings.seed,
        subset_seed=settings.subset_seed,
        limit=settings.most_samples,
        ids=settings.ids,
        replay=settings.replay,
        console=console,
    )


def _requests(trials: Trials) -> Iterator[Request]:
    return (trial.request for trial in _iter(trials) if trial.request is not None)


def _iter(trials: Trials) -> Iterator:  # type: ignore[type-arg]  # of Trial
    return iter(trials) if len(trials) else iter(())


def _read(
    trials: Trials, here: Sequence[TaskChoice], judge: JudgeSettings | None
) -> tuple[list[Load], dict[str, int]]:
    """Add up the requests of each task and style, and count images."""
    loads = {
        (choice.spec.name, style.name): Load(
            choice.spec.name, style.name, choice.spec.kind, True, choice.spec.max_new_tokens
        )
        for choice in here
        for style in choice.styles
    }
    images: dict[str, set[str]] = defaultdict(set)
    for trial in _iter(trials):
        load = loads[trial.task, trial.style]
        load.n += 1
        request = trial.request
        if request is None:
            load.n_unusable += 1
            continue
        load.n_pictures += len(request.all_images)
        images[trial.task].update(request.all_images)
        n_bytes = sum(len(turn.encode(errors="replace")) for turn in request.turns)
        load.n_text_tokens += FRAME_TOKENS + n_bytes // BYTES_PER_TOKEN
        if judge is not None and trial.kind == "graded":
            load.questions.append(message(judge.prompt, request.turns[-1], trial.target, _ANSWER))
    return list(loads.values()), {task: len(names) for task, names in images.items()}


def _published(choice: TaskChoice, style: PromptStyle, settings: RunSettings) -> Load:
    """Take the published size of a task, less where fewer are asked."""
    spec, n = choice.spec, int(choice.spec.reference["samples"])
    limits = [settings.most_samples, len(settings.ids) or None]
    if limits == [None, None]:
        limits = [choice.limit]
    n = min([n, *(limit for limit in limits if limit is not None)])
    load = Load(spec.name, style.name, spec.kind, False, spec.max_new_tokens, n)
    load.n_pictures = n
    load.n_text_tokens = TEXT_TOKENS * n
    if settings.judge is not None and spec.kind == "graded":
        prompt = settings.judge.prompt
        load.questions = [message(prompt, _QUESTION, "x" * len(_ANSWER), _ANSWER)] * n
    return load


def _stand_ins(loads: Iterable[Load]) -> Iterator[Request]:
    """Yield requests in the place of those whose data are not here."""
    for load in loads:
        request = Request(
            task=load.task,
            style=load.style,
            id="",
            turns=(_QUESTION,),
            image="",
            fit="pad",
            max_new_tokens=load.max_new_tokens,
            key="",
        )
        yield from itertools.repeat(request, load.n)
