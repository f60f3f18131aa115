"""The rows of a finished run, and of several seeds: `summary.json` and `seeds.json`."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, PrivateAttr, TypeAdapter, ValidationError

from vipbench import files
from vipbench.errors import RunError, first_mistake
from vipbench.runfolder import bound
from vipbench.runfolder.folder import MANIFEST, RUN_ADVICE, SCORES, SUMMARY, check_run
from vipbench.runfolder.lines import ScoreLine, Valued, read_values
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.opened import open_run
from vipbench.schema import Fit, Record, SparseRecord, Tags

ALL = "all"
HEADLINE_METRIC = "text_match"
EXTRACTED_COUNTS = ("n_extractor_asked", "n_extractor_read")
"""Fields of rows that only a model which reads unread answers fills."""
SELDOM = (*EXTRACTED_COUNTS, "state")
"""Fields of rows that tables leave out where no row has them."""
MOST_KINDS = 10_000
"""Combinations of tags whose rows are remembered."""


class Group(NamedTuple):
    """Samples of which a row speaks: all, or those with one value of a breakdown axis."""

    axis: str | None
    """None: all samples."""
    value: str = ""

    @property
    def name(self) -> str:
        """The group as rows have it; made here, and split nowhere, for both parts may hold `=`."""
        return ALL if self.axis is None else f"{self.axis}={self.value}"


WHOLE = Group(None)


def find_group(name: str, axes: Iterable[str]) -> Group | None:
    """Return the group of a row's name by the axes that its run lists; None: of none of them.

    Of several axes that fit (`size` and `size=px`), the longest is meant.
    """
    if name == ALL:
        return WHOLE
    fitting = [axis for axis in axes if name.startswith(f"{axis}=")]
    if not fitting:
        return None
    axis = max(fitting, key=len)
    return Group(axis, name[len(axis) + 1 :])


def _n_answered(data: Mapping[str, Any]) -> int:
    """Count the answers that no other state takes out of a row's `n`."""
    return int(data["n"]) - int(data["n_truncated"]) - int(data.get("n_refused", 0))


class Row(SparseRecord):
    """One metric of one task under one style: an entry of `summary.json` and `leaderboard.json`."""

    SPARSE = frozenset({"n_answered", "n_refused", "n_filtered", *SELDOM})

    task: str
    task_version: int
    style: str
    model: str
    """Folder name or hub id of the checkpoint; for a baseline, the runner's name."""
    prompt_format: str | None
    """This, `decoding` and `dtype` are None for a baseline."""
    fit: Fit
    decoding: str | None
    dtype: str | None
    seed: int
    metric: str
    group: str
    """`all`, or one value of a breakdown axis: `shape=ellipse`."""
    n: int
    """Scored answers, unparsed ones included as 0."""
    n_expected: int
    """Samples of the full task (of the group: those that were asked)."""
    n_clusters: int
    """Images."""
    n_errors: int
    n_unparsed: int
    n_truncated: int
    accuracy: float | None
    """Sum of the scores / n, 0-1; like the three below None where nothing was scored."""
    stderr: float | None
    """Clustered by image; None for fewer than two images."""
    ci_low: float | None
    ci_high: float | None
    """95 % interval, see `clustered_mean`."""
    synthetic: bool
    """The data come from the demo generator: not a result of the benchmark."""
    n_ungraded: int = 0
    """Answers that a judge has not graded, or of which `option_argmax` does not know the
    probabilities: neither scored nor errors."""
    n_marks_lost: int = 0
    """Samples with a mark of which the model saw nothing, and below those with one of which it saw
    a part, as far as is known; see visibility.py."""
    n_marks_cut: int = 0
    agreement: float | None = None
    """Of metric `option_argmax`, like the margin: share of the scored answers, 0-1, in which the
    text answers with the likeliest letter."""
    margin: float | None = None
    """Median of `ScoreLine.margin`, in nats."""
    n_refused: int = 0
    """Of `n`, answers that the model has declined to give; each counts as 0."""
    n_filtered: int = 0
    """Beside `n`: answers that somebody other than the model has withheld."""
    n_answered: int = Field(default_factory=_n_answered)
    """Of `n`, those that were neither refused nor cut off."""
    n_extractor_asked: int = 0
    """Answers that the rule left unread and a model was asked for, and below those of which it
    named the answer; the others are in `n_unparsed`."""
    n_extractor_read: int = 0
    state: Literal["sequential"] | None = None
    """`sequential`: the run was stopped as soon as something was decided, and the accuracy is no
    estimate of the benchmark's."""
    _n_even_clusters: float | None = PrivateAttr(default=None)

    @property
    def n_asked(self) -> int:
        """Samples of the row that were to be asked, whatever has become of them."""
        return self.n + self.n_filtered + self.n_errors + self.n_ungraded

    @property
    def n_even_clusters(self) -> float | None:
        """Images by Kish's number, n² / sum of squared sizes: how many of one size tell as much.

        Not in a file: summed up with the row, or from the scores of its run; None: not known.
        """
        return self._n_even_clusters

    # Rows are equal where what is written of them is.
    def __eq__(self, other: object) -> bool:
        return isinstance(other, Row) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    def with_even_clusters(self, number: float) -> Self:
        """Return the row with its number of images by Kish's formula."""
        row = self.model_copy()
        row._n_even_clusters = number
        return row


class SeedRow(Record):
    """How one metric of a task under a style varies over seeds: an entry of `seeds.json`."""

    task: str
    task_version: int
    style: str
    model: str
    metric: str
    seeds: tuple[int, ...]
    accuracies: tuple[float | None, ...]
    """One a seed, 0-1; None where nothing was scored."""
    mean: float | None
    """Like the three below, over the seeds that were scored; None where there is none."""
    sd: float | None
    """Standard deviation over seeds (n - 1); None for fewer than two."""
    lowest: float | None
    highest: float | None
    name: str | None = None
    """What the runs are called; None: in older files."""
    step: int | None = None
    """Training step of the checkpoint; None: it is not known."""
    weights: str | None = None
    """Short digest of the weights; None for a baseline."""


_ROWS = TypeAdapter(list[Row])


def write_summary(folder: Path, rows: Iterable[Row]) -> None:
    """Write `summary.json` of a run, all or none; RunError where the disk refuses."""
    files.write_json(folder / SUMMARY, [row.model_dump(mode="json") for row in rows], RUN_ADVICE)


def read_summary(folder: Path) -> list[Row]:
    """Read the rows of a finished run.

    Raises:
        RunError: There are none, they are broken, or a file of the run is not what it has written.
    """
    path = folder / SUMMARY
    if not path.exists():
        check_run(folder)
        raise RunError(
            f"{path}: does not exist (the run has not ended) · expected the folder of a finished "
            "run"
        )
    manifest = open_run(folder) if (folder / MANIFEST).exists() else None
    rows = _parse_rows(path)
    if manifest is not None and SUMMARY not in manifest.files and (folder / SCORES).exists():
        _check_rows(rows, manifest, folder)
    return _count_even_clusters(rows, folder / SCORES)


def read_headlines(folder: Path, manifest: Manifest) -> dict[str, Row]:
    """Read the headline row of each task, as its run has written it; no other file is looked at.

    For lists of many runs; whoever computes with rows reads them with `read_summary`.

    Raises:
        RunError: There are none, or they are not what the run has written.
    """
    bound.check_file(folder, manifest, SUMMARY)
    found: dict[str, Row] = {}
    for row in _parse_rows(folder / SUMMARY):
        task = manifest.tasks.get(row.task)
        if row.group == ALL and task is not None and row.style == task.headline:
            found.setdefault(row.task, row)
    return {name: found[name] for name in manifest.tasks if name in found}


def _parse_rows(path: Path) -> list[Row]:
    try:
        return _ROWS.validate_python(files.read_json(path, RUN_ADVICE))
    except ValidationError as error:
        raise RunError(
            f"{path}: {first_mistake(error)} · use `vipbench score` to redo it"
        ) from error


_Name = tuple[str, str, str, str]
"""Task, style, metric and group of a row."""


class _Sums:
    """What a row says of its lines, as far as adding up tells."""

    def __init__(self) -> None:
        self.n, self.n_errors, self.total = 0, 0, 0.0

    def add(self, line: ScoreLine) -> None:
        """Take a line."""
        self.n += line.value is not None
        self.n_errors += line.state == "failed"
        self.total += line.value or 0.0

    def is_of(self, row: Row) -> bool:
        """Say whether a row can be that of the lines."""
        return (row.n, row.n_errors) == (self.n, self.n_errors) and (
            row.accuracy is None
            if not self.n
            else row.accuracy is not None
            and math.isclose(row.accuracy, self.total / self.n, abs_tol=1e-9)
        )


def _check_rows(rows: Sequence[Row], manifest: Manifest, folder: Path) -> None:
    """Refuse rows, of which there is no digest, that do not follow from the scores of the run."""
    sums: dict[_Name, _Sums] = defaultdict(_Sums)
    for line in files.read_lines(folder / SCORES, ScoreLine):
        axes = manifest.tasks[line.task].breakdown if line.task in manifest.tasks else ()
        for group in _groups(line.tags, axes):
            sums[line.task, line.style, line.metric, group].add(line)
    missing = sums.keys() - {_name(row) for row in rows}
    wrong = [row for row in rows if _name(row) not in sums or not sums[_name(row)].is_of(row)]
    for name in (*map(_name, wrong), *sorted(missing)):
        task, style, metric, group = name
        raise RunError(
            f"{folder / SUMMARY}: what it says of {task} under {style} by {metric} ({group}) does "
            f"not follow from {SCORES} · `vipbench score {folder}` makes it again"
        )


def _count_even_clusters(rows: Sequence[Row], scores: Path) -> list[Row]:
    """Count the images of each row by Kish's formula, where the scores of the run are at hand."""
    sizes: dict[_Name, Counter[str]] = {_name(row): Counter() for row in rows if _is_uneven(row)}
    if sizes and scores.exists():
        try:
            _count_clusters(read_values(scores), sizes)
        except RunError:  # readers of scores say so; here the number stays unknown
            sizes.clear()
    counted = []
    for row in rows:
        of_row = [row.n // row.n_clusters] * row.n_clusters if row.n_clusters else []
        if _is_uneven(row):
            of_row = list(sizes.get(_name(row), Counter()).values())
        squares = sum(size**2 for size in of_row)
        known = squares and sum(of_row) == row.n  # else the scores are not those of the row
        counted.append(row.with_even_clusters(row.n**2 / squares) if known else row)
    return counted


def _count_clusters(
    lines: Iterable[Valued], sizes: Mapping[_Name, MutableMapping[str, int]]
) -> None:
    """Add the scored lines of each row to its images; lines whose tags are equal are in one."""
    rows: dict[tuple[object, ...], list[MutableMapping[str, int]]] = {}
    for line in lines:
        if line["value"] is None:
            continue
        tags = line["tags"]
        kind = (line["task"], line["style"], line["metric"], *tags.items())
        counts = rows.get(kind)
        if counts is None:
            names = (
                (line["task"], line["style"], line["metric"], group)
                for group in _groups(tags, tags)
            )
            counts = rows[kind] = [sizes[name] for name in names if name in sizes]
            if len(rows) > MOST_KINDS:  # tags of which each line has its own
                rows.clear()
        for count in counts:
            count[line["group"]] += 1


def _name(row: Row) -> _Name:
    return row.task, row.style, row.metric, row.group


def _groups(tags: Tags, axes: Iterable[str]) -> Iterator[str]:
    """Yield the names of the groups that a line with some tags is in, by some axes."""
    yield ALL
    for axis in axes:
        for value in tags.get(axis, ()):
            yield Group(axis, value).name


def _is_uneven(row: Row) -> bool:
    return row.n > row.n_clusters > 1
