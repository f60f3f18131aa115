"""How other programs read the files that vipbench writes, in code of its own.

Written from what those programs do with a file, without anything of `vipbench.exchange.formats`.
"""

import csv
import json
from pathlib import Path
from typing import Any, NamedTuple


class Toolkit(NamedTuple):
    """What evaluate.py of the Visual7W toolkit counts."""

    correct: int
    total: int


def visual7w_toolkit(results: Path, dataset: Path, split: str = "test") -> Toolkit:
    """Count as `evaluate.py -d visual7w-pointing -m mc`: by entry, the first candidate, as text."""
    right = {}
    for image in json.loads(dataset.read_bytes())["images"]:
        if image["split"] == split:
            right.update({pair["qa_id"]: str(pair["answer"]).lower() for pair in image["qa_pairs"]})
    entries = json.loads(results.read_bytes())
    correct = 0
    for entry in entries:
        assert isinstance(entry["question"], str)
        chosen = [str(candidate["answer"]).lower() for candidate in entry["candidates"][:1]]
        correct += chosen == [right[entry["qa_id"]]]
    return Toolkit(correct, len(entries))


def official_answers(path: Path) -> list[dict[str, Any]]:
    """Read answers as the official scripts write them: an object a line, with these keys."""
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for record in records:
        keys = ["question_id", "text", "answer_id", "model_id", "metadata"]
        assert sorted(record.keys() - {"prompt"}) == sorted(keys)
        assert record["metadata"] == {}
    assert len({record["answer_id"] for record in records}) == len(records)
    return records


def convert_for_evaluator(answers: Path, results: Path) -> None:
    """Do what convert_vipbench_for_eval.py does."""
    texts = {}
    for line in answers.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        texts["v1_" + str(record["question_id"])] = record["text"]
    results.write_text(json.dumps(texts))


def vip_bench_evaluator(results: Path, folder: Path, split: str) -> list[tuple[str, str, str]]:
    """Return question, answer and prediction of each sample, as the evaluator looks them up.

    KeyError where a sample has no prediction: the evaluator ends there, too.
    """
    predictions = json.loads(results.read_bytes())
    metadata = json.loads((folder / "vip-bench-meta-data.json").read_bytes())
    asked = {}
    for line in (folder / split / "questions.jsonl").read_text(encoding="utf-8").splitlines():
        question = json.loads(line)
        asked[f"v1_{question['question_id']}"] = question["text"]
    return [(asked[key], record["answer"], predictions[key]) for key, record in metadata.items()]


def csv_texts(path: Path) -> dict[str, str]:
    """Read `id,text` with Python's own reader of tables."""
    with path.open(encoding="utf-8", newline="") as file:
        return {row["id"]: row["text"] for row in csv.DictReader(file)}


def jsonl_texts(path: Path) -> dict[str, str]:
    """Read `{"id": …, "text": …}` lines."""
    with path.open(encoding="utf-8", newline="\n") as file:
        records = [json.loads(line) for line in file]
    return {record["id"]: record["text"] for record in records}
