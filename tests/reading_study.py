"""Measure a rule on answers that somebody has extracted already, such as BLINK's released outputs.

    python tests/reading_study.py FOLDER [--rule stated] [--mistakes FILE]

FOLDER holds a file `MODEL.jsonl` or `MODEL.jsonl.gz` for each model; a line is
`{"id": "val_Counting_1", "text": "There are two.", "official": "(B)"}`. The official extraction is
a letter in parentheses; `(Z)`, and a letter beyond the options, is none.

An answer is *equal* where the rule reads the official letter, or neither reads one; *unread* where
only the official code reads one; and *different* otherwise.
"""

import argparse
import gzip
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vipbench.scoring.extraction.rules import RULES

_POINTS = {letter: f"Point {letter}" for letter in "ABCD"}
_IMAGES = {"A": "the second image", "B": "the third image"}
OPTIONS: dict[str, dict[str, str]] = {
    "Art_Style": _IMAGES,
    "Counting": dict.fromkeys("ABCD", ""),
    "Forensic_Detection": {
        letter: f"the {place} image"
        for letter, place in zip("ABCD", ("first", "second", "third", "fourth"), strict=True)
    },
    "Functional_Correspondence": _POINTS,
    "IQ_Test": {letter: f"picture {letter}" for letter in "ABCD"},
    "Jigsaw": _IMAGES,
    "Multi-view_Reasoning": {"A": "left", "B": "right"},
    "Object_Localization": {"A": "Box A", "B": "Box B"},
    "Relative_Depth": {"A": "A is closer", "B": "B is closer"},
    "Relative_Reflectance": {"A": "A is darker", "B": "B is darker", "C": "About the same"},
    "Semantic_Correspondence": _POINTS,
    "Spatial_Relation": {"A": "yes", "B": "no"},
    "Visual_Correspondence": _POINTS,
    "Visual_Similarity": _IMAGES,
}
"""BLINK's subtasks; the options of Counting differ from question to question, and are unknown."""
KINDS = ("equal", "unread", "different")


def options_of(id_: str) -> dict[str, str]:
    """Return the options of a question by its id: `val_Art_Style_3`."""
    return OPTIONS[id_.split("_", 1)[1].rsplit("_", 1)[0]]


def official_letter(official: str, options: dict[str, str]) -> str | None:
    """Return the letter that the official code has read; None: none of the options."""
    letter = official[1:2] if official[:1] == "(" and official[2:3] == ")" else ""
    return letter if letter in options else None


def kind_of(read: str | None, official: str | None) -> str:
    """Return one of `KINDS`."""
    if read == official:
        return "equal"
    return "unread" if read is None else "different"


def answers(file: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file."""
    with gzip.open(file) if file.suffix == ".gz" else file.open("rb") as lines:
        for line in lines:
            yield json.loads(line)


def row(name: str, counts: Counter[str]) -> str:
    """Return a line of the table: shares in percent, then numbers."""
    n = counts.total()
    shares = "".join(f"{100 * counts[kind] / n:10.2f}" for kind in KINDS)
    return f"{name:28}{shares}{counts['different']:10,}{n:10,}"


def main() -> None:
    """Print a table: a row a model, then a row a subtask, then all."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rule", choices=tuple(RULES), default="stated")
    parser.add_argument("--mistakes", type=Path, help="takes what is unread or different")
    asked = parser.parse_args()
    models: dict[str, Counter[str]] = {}
    tasks: dict[str, Counter[str]] = {}
    mistakes: list[str] = []
    begun = time.process_time()
    for file in sorted([*asked.folder.glob("*.jsonl"), *asked.folder.glob("*.jsonl.gz")]):
        model = models.setdefault(file.name.split(".jsonl")[0], Counter())
        for line in answers(file):
            options = options_of(line["id"])
            read = RULES[asked.rule](line["text"], options)
            kind = kind_of(read, official_letter(line["official"], options))
            model[kind] += 1
            tasks.setdefault(line["id"].split("_", 1)[1].rsplit("_", 1)[0], Counter())[kind] += 1
            if kind != "equal":
                mistakes.append(json.dumps(line | {"kind": kind, "read": read, "file": file.name}))
    if not models:
        parser.error(f"{asked.folder}: holds no .jsonl or .jsonl.gz")
    shares = "".join(f"{kind:>10}" for kind in KINDS)
    lines = [__doc__.rsplit("\n\n", 1)[1], f"{'percent':28}{shares}{'different':>10}{'n':>10}"]
    for table in (models, tasks):
        lines += [*(row(name, counts) for name, counts in sorted(table.items())), ""]
    lines += [row("all", sum(models.values(), Counter())), f"{time.process_time() - begun:.1f} s"]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    if asked.mistakes:
        asked.mistakes.write_text("".join(f"{line}\n" for line in mistakes), encoding="utf-8")


if __name__ == "__main__":
    main()
