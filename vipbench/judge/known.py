"""Grades and totals of a retired judge, from the files of ViP-Bench's official evaluator."""

import csv
import math
import re
import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from pydantic import Field, TypeAdapter, ValidationError

from vipbench import files
from vipbench.errors import DataError, RunError, first_mistake
from vipbench.schema import Record

TOTAL = "total"
"""Column of the whole in the evaluator's CSV files; the others are capabilities, `std`, `runs`."""
NO_PART = frozenset({"std", "runs", "model", ""})
_OFFICIAL = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)", re.ASCII)


class KnownGrades(Record):
    """What a retired judge gave for the answers of one model."""

    judges: dict[str, int] = Field(default={})
    """How the judge was named, and in how many grades; empty: the file does not say."""
    grades: dict[str, float] = Field(default={})
    """0-1, the mean of the judge runs, by sample; empty where only totals are known."""
    n_unread: int = 0
    """Samples that are left out: a grade is 0 since no reply was one."""
    totals: dict[str, float] = Field(default={})
    """Points by capability, and under `total`; empty where the grades are known."""


class _Entry(Record):
    model: list[object] = Field(default=[])
    content: list[object] = Field(default=[])
    score: list[float] = Field(min_length=1)


def read_known(path: Path) -> KnownGrades:
    """Read a grade file (`…-grade-<n>runs.json`) or a file of totals (`…-cap-score-<n>runs.csv`).

    Source: ViP-LLaVA, scripts/eval/vip-bench_evaluator.py. DataError or RunError where it is
    neither, or holds a grade outside of 0-1.
    """
    try:
        files.check_regular(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({files.reason(error)})") from error
    return _read_totals(path) if path.suffix.lower() == ".csv" else _read_grades(path)


def _read_grades(path: Path) -> KnownGrades:
    form = '{"v1_0": {"model": […], "content": […], "score": […]}, …}'
    try:
        entries = TypeAdapter(dict[str, _Entry]).validate_python(files.read_json(path))
    except ValidationError as error:
        raise DataError(f"{path}: {first_mistake(error)} · a grade file is {form}") from error
    judges: Counter[str] = Counter()
    grades: dict[str, float] = {}
    n_unread = 0
    for name, entry in entries.items():
        if any(not 0 <= score <= 1 for score in entry.score):
            raise DataError(f"{path}: {name}: score {entry.score} · expected grades from 0 to 1")
        judges.update(str(model) for model in entry.model)
        if any(_is_unread(entry, run) for run in range(len(entry.score))):
            n_unread += 1
        else:
            grades[name] = statistics.fmean(entry.score)
    if not grades:
        raise DataError(f"{path}: holds no grade · expected {form}")
    return KnownGrades(judges=dict(judges), grades=grades, n_unread=n_unread)


def _is_unread(entry: _Entry, run: int) -> bool:
    """Say whether a 0 stands for a reply that was none, as the evaluator writes it."""
    if entry.score[run] != 0 or run >= len(entry.content):
        return False
    return not _OFFICIAL.fullmatch(str(entry.content[run]).split(" ")[0].strip())


def _read_totals(path: Path) -> KnownGrades:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as CSV ({error})") from error
    if len(rows) != 1:
        raise DataError(f"{path}: {len(rows):,} lines · expected one, of one model")
    totals = {}
    for name, text in rows[0].items():
        if name is None or name.strip().lower() in NO_PART or name.startswith("Unnamed"):
            continue
        totals[name.strip()] = _points(path, name, text)
    if TOTAL not in totals:
        raise DataError(f"{path}: has no column {TOTAL!r} · expected …-cap-score-<n>runs.csv")
    return KnownGrades(totals=totals)


def _points(path: Path, name: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not 0 <= value <= 100:
        raise DataError(f"{path}: column {name!r}: {text!r} · expected points from 0 to 100")
    return value


def common(known: Mapping[str, float], answered: Mapping[str, object], path: Path) -> list[str]:
    """Return the samples that have both a known grade and an answer; RunError without any."""
    both = [name for name in answered if name in known]
    if not both:
        shown = ", ".join([*known][:2])
        raise RunError(f"{path}: its samples ({shown}, …) are not those of the run")
    return both
