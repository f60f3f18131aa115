"""A baseline: what a gate needs of a run, in one file for a repository or an artefact.

Lines of JSON. The first has the format and the sha256 of all bytes behind it; the second what the
run was; then a line for each score, by the headline metric under the headline style; then a line
for each request of these styles. A name that ends in `.gz` packs them.
"""

import gzip
import hashlib
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from vipbench import files
from vipbench.analysis.asked import asked_samples
from vipbench.analysis.pairs import AskedSample, Kept, Side, read_side
from vipbench.errors import RunError, first_mistake
from vipbench.runfolder.judge_file import GradedBy, Judge
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Manifest, Times
from vipbench.runfolder.name_file import Name, read_name
from vipbench.schema import AnswerState, Record, SparseRecord, Tags

LineT = TypeVar("LineT", bound=Record)
FORMAT = "vipbench baseline 1"
ADVICE = "make it again with `vipbench export RUN baseline`"
GZIP = b"\x1f\x8b"
"""How a packed file begins."""
ERROR = "failed"
"""Stands for the words of an error, which may name a path."""


class _First(Record):
    format: str
    sha256: str
    """Of all bytes behind this line."""


class _Grader(Record):
    judge: Judge
    names: tuple[str, ...]


class _Head(Record):
    """The second line: what the run was."""

    manifest: Manifest
    """Without what only its folder needs."""
    name: Name
    graded_by: _Grader | None
    metrics: dict[str, str]
    """The metric of each task that was scored."""
    tags: tuple[Tags, ...]
    """Those that any score has, each once."""
    n_scores: int = Field(ge=0)
    n_asked: int = Field(ge=0)


class _Score(SparseRecord):
    """One sample of one task."""

    SPARSE = frozenset({"read", "error", "ungraded", "state"})

    task: str
    id: str
    value: float | None = Field(ge=0, le=1, allow_inf_nan=False)
    group: str
    target: str
    tags: int = Field(ge=0)
    """Number of its tags in the head."""
    read: bool = True
    """An answer was read out of the text."""
    error: bool = False
    ungraded: bool = False
    state: AnswerState = "answered"


class _Request(Record):
    """How one sample was asked."""

    task: str
    id: str
    asked: AskedSample


def write_baseline(folder: Path, out: Path) -> int:
    """Write the baseline of a finished run; return how many scores are in it.

    Raises:
        RunError: The run has not ended or is broken, or the disk refuses.
    """
    side = read_side(str(folder))
    lines = [line.encode() + b"\n" for line in _lines(side)]
    digest = hashlib.sha256(b"".join(lines)).hexdigest()
    first = _First(format=FORMAT, sha256=digest).model_dump_json().encode() + b"\n"
    content = b"".join([first, *lines])
    files.write_bytes(out, [gzip.compress(content, mtime=0) if out.suffix == ".gz" else content])
    return sum(len(_headline(side, task)) for task in side.manifest.tasks)


def read_baseline(path: Path) -> Side:
    """Read a baseline as the side of a comparison.

    Raises:
        RunError: There is none, it is something else, or not what was written.
    """
    if path.is_dir():
        raise RunError(f"{path}: is a folder · give a run as BASE, or the file of a baseline")
    first, lines = _content(path)
    if not lines:
        raise RunError(f"{path}: holds nothing of a run · {ADVICE}")
    if hashlib.sha256(b"".join(lines)).hexdigest() != first.sha256:
        raise RunError(f"{path}: is not what was written: its sha256 differs · {ADVICE}")
    head = _parsed(_Head, lines[0], path, 2)
    if len(lines) != 1 + head.n_scores + head.n_asked:
        raise RunError(f"{path}: has {len(lines) + 1:,} lines, others were counted · {ADVICE}")
    scores: dict[tuple[str, str], dict[str, ScoreLine]] = defaultdict(dict)
    for number, raw in enumerate(lines[1 : 1 + head.n_scores], 3):
        line = _score_line(head, _parsed(_Score, raw, path, number), f"{path}:{number}")
        scores[line.task, line.metric][line.id] = line
    asked: dict[str, dict[str, AskedSample]] = defaultdict(dict)
    for number, raw in enumerate(lines[1 + head.n_scores :], 3 + head.n_scores):
        request = _parsed(_Request, raw, path, number)
        asked[request.task][request.id] = request.asked
    by = head.graded_by
    kept = Kept(head.name, GradedBy(by.judge, by.names) if by is not None else None, asked)
    return Side(path, None, head.manifest, scores, kept)


def _content(path: Path) -> tuple[_First, list[bytes]]:
    """Return the first line, and the others as they stand."""
    try:
        files.check_regular(path)
        raw = path.read_bytes()
        content = gzip.decompress(raw) if raw.startswith(GZIP) else raw
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise RunError(f"{path}: is a broken archive ({error}) · {ADVICE}") from error
    except FileNotFoundError as error:
        raise RunError(
            f"{path}: does not exist · expected what `vipbench export RUN baseline` has written"
        ) from error
    except OSError as error:
        raise files.read_error(path, error) from error
    # git may have turned the ends of lines into those of Windows.
    first, *lines = content.replace(b"\r\n", b"\n").splitlines(keepends=True) or [b""]
    try:
        begin = json.loads(first)
    except ValueError:
        begin = None
    if not isinstance(begin, dict) or not str(begin.get("format")).startswith("vipbench baseline"):
        raise RunError(
            f"{path}: is not a baseline · expected what `vipbench export RUN baseline` has written"
        )
    if begin["format"] != FORMAT:
        raise RunError(
            f"{path}: format {begin['format']!r} is unknown · expected {FORMAT!r} · {ADVICE}"
        )
    return _parsed(_First, first, path, 1), lines


def _parsed(kind: type[LineT], raw: bytes, path: Path, number: int) -> LineT:
    try:
        return kind.model_validate_json(raw)
    except ValidationError as error:
        raise RunError(f"{path}:{number}: {first_mistake(error)} · {ADVICE}") from error


def _lines(side: Side) -> Iterator[str]:
    """Yield the lines behind the first."""
    manifest = side.manifest
    scores = [line for task in manifest.tasks for line in _headline(side, task)]
    tags: dict[str, tuple[int, Tags]] = {}
    for line in scores:
        tags.setdefault(_tags_key(line.tags), (len(tags), line.tags))
    asked = [
        _Request(task=task, id=id_, asked=sample)
        for task in manifest.identity.requests
        for id_, sample in asked_samples(side, task).items()
    ]
    by = side.graded_by()
    head = _Head(
        manifest=_without_places(manifest),
        name=read_name(side.folder),
        graded_by=_Grader(judge=by.judge, names=by.names) if by is not None else None,
        metrics={task: m for task in manifest.tasks if (m := side.headline_metric(task))},
        tags=tuple(each for _, each in tags.values()),
        n_scores=len(scores),
        n_asked=len(asked),
    )
    yield head.model_dump_json()
    for line in scores:
        yield _Score(
            task=line.task,
            id=line.id,
            value=line.value,
            group=line.group,
            target=line.target,
            tags=tags[_tags_key(line.tags)][0],
            read=line.answer is not None,
            error=line.error is not None,
            ungraded=line.ungraded is not None,
            state=line.state,
        ).model_dump_json()
    for request in asked:
        yield request.model_dump_json()


def _without_places(manifest: Manifest) -> Manifest:
    """Leave out what only the folder of a run needs, and where its data lay."""
    tasks = {
        name: task.model_copy(update={"questions": "", "images": ""})
        for name, task in manifest.tasks.items()
    }
    left_out = {"files": {}, "variables": {}, "times": Times(), "notes": ()}
    return manifest.model_copy(update={**left_out, "tasks": tasks})


def _tags_key(tags: Tags) -> str:
    return json.dumps(tags, sort_keys=True)


def _headline(side: Side, task: str) -> Sequence[ScoreLine]:
    metric = side.headline_metric(task)
    return [] if metric is None else list(side.lines[task, metric].values())


def _score_line(head: _Head, score: _Score, where: str) -> ScoreLine:
    """Return a score as the run had it, but for the words of answers and errors."""
    if score.task not in head.metrics or score.task not in head.manifest.tasks:
        raise RunError(f"{where}: task {score.task!r} is not of the run · {ADVICE}")
    if score.tags >= len(head.tags):
        raise RunError(f"{where}: tags {score.tags} are not in the second line · {ADVICE}")
    return ScoreLine(
        task=score.task,
        style=head.manifest.tasks[score.task].headline,
        id=score.id,
        metric=head.metrics[score.task],
        value=score.value,
        answer="" if score.read else None,
        target=score.target,
        group=score.group,
        tags=head.tags[score.tags],
        truncated=score.state == "cut_off",
        error=ERROR if score.error else None,
        ungraded=ERROR if score.ungraded else None,
        state=score.state,
    )
