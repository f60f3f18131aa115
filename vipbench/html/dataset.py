"""The samples of a report with the answers of all runs, as columns of plain data for the page."""

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from typing import NamedTuple, TypeVar

from vipbench import files
from vipbench.environment import without_collection
from vipbench.errors import RunError
from vipbench.html.runs import (
    Run,
    Scores,
    TaskKey,
    add_score,
    empty_scores,
    headline_metric,
    image_size,
    reveal_hidden,
    task_key,
    task_keys,
    task_labels,
)
from vipbench.report.names import named
from vipbench.runfolder import answers_file
from vipbench.runfolder.folder import MANIFEST, REQUESTS, RESPONSES, SCORES
from vipbench.runfolder.lines import ResponseLine, ScoreLine, TrialId, is_wanted, trial_id
from vipbench.schema import ImageRoots, Request, Trial

LineT = TypeVar("LineT", Trial, ScoreLine)

NONE = -1
"""In columns of indices: there is nothing."""
MOST_ANSWERS = 200_000
"""Of all runs, up to which the page holds every sample: it has some 40 MB then, and a browser takes
seconds to open it."""
RIGHT, PARTLY, WRONG, UNPARSED, ERROR, UNGRADED, NOT_ASKED = "rpwuen-"
"""Outcomes of an answer: the letters of the column `state`."""


class Texts:
    """Every text of the page, kept once; columns hold its index."""

    def __init__(self) -> None:
        self._indices: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._indices)

    def index(self, text: str, *, lines: bool = False) -> int:
        """Return the index of a text, which is shown as by `reveal_hidden`."""
        known = self._indices.get(text)
        if known is not None and (lines or text.isprintable()):  # it is shown as it is
            return known
        return self._indices.setdefault(reveal_hidden(text, lines=lines), len(self._indices))

    def line_indices(self, text: str) -> list[int]:
        """Return the indices of a text's lines."""
        return [self.index(line, lines=True) for line in text.split("\n")]

    def all(self) -> list[str]:
        """Return the texts in the order of their indices."""
        return list(self._indices)


class ToDraw(NamedTuple):
    """A picture that the page could show."""

    ask: int
    """Index of the question that it belongs to."""
    task: TaskKey
    request: Request
    images: ImageRoots
    """Root of the task's images, or several."""


@dataclass
class Asks:
    """Columns of what was asked, a question a row: runs that asked the same share it."""

    turns: list[list[list[int]]] = field(default_factory=list)
    """Lines of each turn; user and model take turns. Empty for a joint task."""
    options: list[list[int]] = field(default_factory=list)
    """The options' lines, or their letters where the text does not list them."""
    right: list[int] = field(default_factory=list)
    """Index of the right option among them."""
    target: list[int] = field(default_factory=list)
    tags: list[list[int]] = field(default_factory=list)
    """Texts such as `shape=ellipse`."""
    shape: list[int] = field(default_factory=list)
    """Indices in `Dataset.shapes`."""
    color: list[int] = field(default_factory=list)
    """Indices in `Dataset.colors`."""
    group: list[int] = field(default_factory=list)
    picture: list[int] = field(default_factory=list)
    """Indices in `Dataset.pictures`."""
    others: dict[int, list[int]] = field(default_factory=dict)
    """Of questions about several images, the pictures of those after the first."""
    why: list[int] = field(default_factory=list)
    """Why there is no picture, or what is special about it."""


@dataclass
class Answers:
    """Columns of what one run answered; a row is a sample under a style."""

    state: list[str] = field(default_factory=list)
    cut: set[int] = field(default_factory=set)
    """Rows of answers that were truncated."""
    ask: "array[int]" = field(default_factory=lambda: array("l"))
    text: "array[int]" = field(default_factory=lambda: array("l"))
    """The answer as the model gave it."""
    parsed: "array[int]" = field(default_factory=lambda: array("l"))
    note: "array[int]" = field(default_factory=lambda: array("l"))
    """Why there is no answer or no score, or which marks were lost."""
    value: dict[int, float] = field(default_factory=dict)
    """Scores that are neither 0 nor 1."""
    more: dict[str, dict[int, float | None]] = field(default_factory=dict)
    """Scores by other metrics."""


@dataclass
class Pictures:
    """The pictures of the page."""

    size: int = 0
    """Side in px."""
    folder: str = ""
    """Where the files lie, seen from the page; empty: `source` holds data URIs."""
    source: list[str] = field(default_factory=list)
    exact: list[int] = field(default_factory=list)
    """1: exactly the pixels that the model saw; 0: others; -1: not known."""


@dataclass
class Dataset:
    """All that the sample browser shows."""

    runs: list[Run]
    tasks: list[TaskKey]
    texts: Texts = field(default_factory=Texts)
    styles: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, int] = field(default_factory=dict)
    colors: dict[str, int] = field(default_factory=dict)
    asks: Asks = field(default_factory=Asks)
    pictures: Pictures = field(default_factory=Pictures)
    task: "array[int]" = field(default_factory=lambda: array("l"))
    style: "array[int]" = field(default_factory=lambda: array("l"))
    id: "array[int]" = field(default_factory=lambda: array("l"))
    answers: list[Answers] = field(default_factory=list)
    n_left_out: int = 0
    """Samples that the page does not hold."""
    pixels: dict[int, set[str]] = field(default_factory=dict)
    """Ask -> digests of what models saw, where their image size is known."""

    def n_samples(self) -> int:
        """Return the number of different samples of the page, whatever the style."""
        return len(set(zip(self.task, self.id, strict=True)))


class Collected(NamedTuple):
    """What was read from the run folders."""

    dataset: Dataset
    scores: Scores
    to_draw: list[ToDraw]


def collect(runs: Sequence[Run], most: int = MOST_ANSWERS) -> Collected:
    """Read requests, responses and scores of all runs.

    A sample under a style is one row for all runs; runs that asked it differently (another seed,
    another fit) have questions of their own.

    Args:
        runs: of the report.
        most: answers up to which the page holds all samples. Of more it holds a part of the
            samples, drawn by their ids, so that it is the same part under each style and in each
            run; scores are of all.

    Raises:
        RunError: A file is missing or broken.
    """
    collector = _Collector(list(runs), most)
    with without_collection():
        for number, run in enumerate(runs):
            collector.add(number, run)
    return Collected(collector.dataset, collector.scores, collector.to_draw)


class _Collector:
    """Adds run after run to a data set."""

    def __init__(self, runs: list[Run], most: int) -> None:
        self._wanted = _chosen(sum(run.manifest.n_requests for run in runs), most)
        self._left_out: set[tuple[str, str]] = set()
        self._groups: dict[str, str] = {}
        self.dataset = Dataset(runs, task_keys(runs))
        self.scores = empty_scores()
        self.to_draw: list[ToDraw] = []
        self._tasks = {key: index for index, key in enumerate(self.dataset.tasks)}
        self._size = image_size(runs)
        self._rows: dict[tuple[int, str, str], int] = {}
        self._asks: dict[tuple[int, str, str], int] = {}

    def add(self, number: int, run: Run) -> None:
        """Read one run."""
        wanted = self._wanted
        responses = answers_file.read_responses(run.folder / RESPONSES, wanted)
        answers = Answers()
        self.dataset.answers.append(answers)
        asked: dict[TrialId, int] = {}
        for trial in _own(run, REQUESTS, Trial, wanted):
            asked[trial_id(trial)] = self._ask(run, trial, responses.get(trial_id(trial)))
        keys = {name: task_key(name, task) for name, task in run.manifest.tasks.items()}
        kinds = {name: run.kinds(key) for name, key in keys.items()}
        headlines = {name: headline_metric(task) for name, task in run.manifest.tasks.items()}
        for line in _own(run, SCORES, ScoreLine):
            if wanted is None or wanted(line.id):
                self._score(run, answers, line, asked, responses.get(trial_id(line)))
            else:
                self._left_out.add((line.task, line.id))
            if line.metric == headlines[line.task]:
                kind = kinds[line.task].get(line.style)
                group = self._groups.setdefault(line.group, line.group)  # kept once
                add_score(self.scores, number, keys[line.task], kind, line, group)
        self.dataset.n_left_out = len(self._left_out)
        for known in self.dataset.answers:
            _fill(known, len(self._rows))

    def _row(self, task: TaskKey, style: str, id_: str) -> int:
        name = (self._tasks[task], style, id_)
        if name not in self._rows:
            self._rows[name] = len(self._rows)
            data = self.dataset
            data.task.append(name[0])
            data.style.append(data.styles.setdefault(reveal_hidden(style), len(data.styles)))
            data.id.append(data.texts.index(id_))
        return self._rows[name]

    def _ask(self, run: Run, trial: Trial, response: ResponseLine | None) -> int:
        key = task_key(trial.task, run.manifest.tasks[trial.task])
        row = self._row(key, trial.style, trial.id)
        request = trial.request
        name = (row, request.key if request else "error", trial.target)
        ask = self._asks.get(name)
        if ask is None:
            ask = self._asks[name] = self._new_ask(trial.target, trial.group, trial.tags)
            if request is not None:
                self._describe(ask, request, trial.target)
                images = run.manifest.tasks[trial.task].image_roots
                self.to_draw.append(ToDraw(ask, key, request, images))
        if response is not None and response.pixels and run.manifest.image_size == self._size:
            self.dataset.pixels.setdefault(ask, set()).add(response.pixels)
        return ask

    def _new_ask(self, target: str, group: str, tags: dict[str, tuple[str, ...]]) -> int:
        data, asks = self.dataset, self.dataset.asks
        asks.turns.append([])
        asks.options.append([])
        asks.right.append(NONE)
        asks.target.append(data.texts.index(target))
        flat = (f"{axis}={value}" for axis, values in tags.items() for value in values)
        asks.tags.append([data.texts.index(text) for text in flat])
        for column, known, axis in (
            (asks.shape, data.shapes, "shape"),
            (asks.color, data.colors, "color"),
        ):
            values = tags.get(axis, ())
            column.append(
                known.setdefault(reveal_hidden(values[0]), len(known)) if values else NONE
            )
        asks.group.append(data.texts.index(group))
        asks.picture.append(NONE)
        asks.why.append(NONE)
        return len(asks.turns) - 1

    def _describe(self, ask: int, request: Request, target: str) -> None:
        texts, asks = self.dataset.texts, self.dataset.asks
        asks.turns[ask] = [texts.line_indices(turn) for turn in request.turns]
        options = option_lines(request)
        asks.options[ask] = [texts.index(option, lines=True) for option in options]
        if target in request.options:
            asks.right[ask] = request.options.index(target)

    def _score(
        self,
        run: Run,
        answers: Answers,
        line: ScoreLine,
        asked: dict[TrialId, int],
        response: ResponseLine | None,
    ) -> None:
        task = run.manifest.tasks[line.task]
        row = self._row(task_key(line.task, task), line.style, line.id)
        _fill(answers, row + 1)
        if line.metric != headline_metric(task):
            answers.more.setdefault(run.metric_name(line.metric), {})[row] = line.value
            return
        ask = asked.get(trial_id(line))
        if ask is None:  # a joint task asks nothing itself
            name = (row, "joint", line.target)
            if name not in self._asks:
                self._asks[name] = self._new_ask(line.target, line.group, line.tags)
            ask = self._asks[name]
        texts = self.dataset.texts
        answers.ask[row] = ask
        answers.state[row] = state_of(line)
        if line.value is not None and 0 < line.value < 1:
            answers.value[row] = line.value
        if line.truncated:
            answers.cut.add(row)
        if response is not None and response.text is not None:
            answers.text[row] = texts.index(response.text, lines=True)
        if line.answer is not None:
            answers.parsed[row] = texts.index(line.answer, lines=True)
        note = line.error or line.ungraded or _lost(line)
        if note:
            shown = files.without_folders(note, task.image_roots)
            answers.note[row] = texts.index(shown, lines=True)


def _chosen(n: int, most: int) -> Callable[[str], bool] | None:
    """Return what says by the id of a sample whether it is shown, of `n` answers; None: all are."""
    if n <= most:
        return None
    limit = 2**64 * most // n

    @cache  # each sample is looked at under each style, in each file of each run
    def is_chosen(id_: str) -> bool:
        digest = hashlib.sha256(id_.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(digest[:8]) < limit

    return is_chosen


def _own(
    run: Run, name: str, kind: type[LineT], wanted: Callable[[str], bool] | None = None
) -> Iterator[LineT]:
    """Read a file of a run, or those of its lines whose ids are wanted.

    RunError where it names a task that the manifest lacks.
    """
    path = run.folder / name
    if wanted is None:
        numbered: Iterable[tuple[int, LineT]] = enumerate(files.read_lines(path, kind), 1)
    else:
        numbered = (
            (raw.number, files.parse_line(kind, raw, path))
            for raw in files.raw_lines(path)
            if is_wanted(raw.content, wanted)
        )
    for number, line in numbered:
        if line.task not in run.manifest.tasks:
            raise RunError(
                f"{path}:{number}: task {line.task!r} is not in {MANIFEST} · expected one of "
                f"{', '.join(run.manifest.tasks)} · use `vipbench score` to redo the scores"
            )
        yield line


def _fill(answers: Answers, n: int) -> None:
    """Make the columns of a run `n` rows long; what it was not asked stays empty."""
    missing = n - len(answers.state)
    if missing > 0:
        answers.state += [NOT_ASKED] * missing
        for column in (answers.ask, answers.text, answers.parsed, answers.note):
            column.extend([NONE] * missing)


def _lost(line: ScoreLine) -> str:
    n = line.n_marks_lost or 0
    return f"{n} mark{'s' * (n != 1)} not visible to the model" if n else ""


def state_of(line: ScoreLine) -> str:
    """Return the letter for the outcome of an answer."""
    if line.error is not None:
        return ERROR
    if line.value is None:
        return UNGRADED
    if line.answer is None:
        return UNPARSED
    if line.value >= 1:
        return RIGHT
    return PARTLY if line.value > 0 else WRONG


def option_lines(request: Request) -> list[str]:
    """Return the lines of the last turn that list the options; their letters where none do.

    An option that itself holds a line break is shown up to it.
    """
    rest = request.turns[-1].split("\n") if request.turns else []
    lines = []
    for letter in request.options:
        starts = [n for n, line in enumerate(rest) if line.startswith(f"{letter}. ")]
        if not starts:
            return list(request.options)
        lines.append(rest[starts[0]])
        rest = rest[starts[0] + 1 :]
    return lines


def as_json(dataset: Dataset) -> str:
    """Write the data for a `<script type="application/json">`: nothing in it can end the script."""
    text = json.dumps(_plain(dataset), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def _plain(dataset: Dataset) -> dict[str, object]:
    """Return the data as the page's script reads them."""
    labels = task_labels(dataset.tasks)
    return {
        "runs": [
            {
                "label": reveal_hidden(run.label),
                "protocol": reveal_hidden(run.protocol),
                **named(run.called),
                "name": reveal_hidden(run.called.name),
            }
            for run in dataset.runs
        ],
        "tasks": [
            {
                "label": reveal_hidden(labels[key]),
                "synthetic": key.synthetic,
                "parts": _parts(dataset, key),
                "metric": _metric(dataset, key),
            }
            for key in dataset.tasks
        ],
        "styles": list(dataset.styles),
        "shapes": list(dataset.shapes),
        "colors": list(dataset.colors),
        "pictures": _columns(dataset.pictures),
        "asks": _columns(dataset.asks),
        "rows": {
            "task": list(dataset.task),
            "style": list(dataset.style),
            "id": list(dataset.id),
        },
        "answers": [_plain_answers(answers) for answers in dataset.answers],
        "texts": dataset.texts.all(),
    }


def _columns(table: Asks | Pictures) -> dict[str, object]:
    return {column.name: getattr(table, column.name) for column in fields(table)}


def _plain_answers(answers: Answers) -> dict[str, object]:
    return {
        "state": "".join(answers.state),
        "cut": sorted(answers.cut),
        "ask": list(answers.ask),
        "text": list(answers.text),
        "parsed": list(answers.parsed),
        "note": list(answers.note),
        "value": {str(row): value for row, value in sorted(answers.value.items())},
        "more": {
            metric: {str(row): value for row, value in sorted(values.items())}
            for metric, values in answers.more.items()
        },
    }


def _runs_with(dataset: Dataset, key: TaskKey) -> Iterator[Run]:
    return (run for run in dataset.runs if run.task(key) is not None)


def _parts(dataset: Dataset, key: TaskKey) -> list[int]:
    """Return the indices of the tasks that a joint task is made of."""
    run = next(_runs_with(dataset, key))
    tasks = run.manifest.tasks
    parts = (task_key(name, tasks[name]) for name in tasks[key.name].parts if name in tasks)
    return [dataset.tasks.index(part) for part in parts]


def _metric(dataset: Dataset, key: TaskKey) -> str:
    return headline_metric(next(_runs_with(dataset, key)).manifest.tasks[key.name])
