"""Folders of finished runs that were never run: for the tests of what reads them."""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from vipbench import files
from vipbench.data.tasks import all_styles, load_task
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import SCORES, SUMMARY
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Identity, Manifest, Settings, TaskRun
from vipbench.runfolder.summary import Row
from vipbench.schema import Fit, Tags
from vipbench.scoring.summary import summarise


def row(task: str, accuracy: float | None, n: int, half: float = 0.003, **fields: Any) -> Row:
    """Make a row of the headline style, complete; its interval is `half` wide on either side."""
    spec = load_task(task)
    known = accuracy is not None
    whole = fields.get("group", "all") == "all"
    given: dict[str, Any] = {
        "task": task,
        "task_version": spec.version,
        "style": spec.styles[0],
        "model": "any",
        "prompt_format": "llava_v1",
        "fit": "pad",
        "decoding": "greedy",
        "dtype": "float16",
        "seed": 0,
        "metric": "text_match",
        "group": "all",
        "n": n,
        "n_expected": spec.reference.get("samples", n) if whole else n,
        "n_clusters": n,
        "n_errors": 0,
        "n_unparsed": 0,
        "n_truncated": 0,
        "accuracy": accuracy,
        "stderr": half / 2 if known else None,
        "ci_low": accuracy - half if accuracy is not None else None,
        "ci_high": accuracy + half if accuracy is not None else None,
        "synthetic": False,
    }
    return Row(**(given | fields))


def task_run(task: str, **fields: Any) -> TaskRun:
    spec = load_task(task)
    parts = spec.data if isinstance(spec.data, tuple) else ()
    fit: Fit = "squash" if task.startswith("vcr") else "pad"
    given: dict[str, Any] = {
        "version": spec.version,
        "kind": spec.kind,
        "parts": parts,
        "headline": spec.styles[0],
        "fit": fit,
        "breakdown": spec.breakdown,
        "n_samples": 1,
    }
    return TaskRun(**(given | fields))


def manifest(model: str, tasks: dict[str, TaskRun], **fields: Any) -> Manifest:
    """Make the manifest of a run by the published protocol: greedy, float16, llava_v1."""
    settings = {
        "weights": "a" * 64,
        "prompt_format": "llava_v1",
        "dtype": "float16",
        "decoding": "greedy",
    } | fields.pop("settings", {})
    asked = {name: each for name, each in tasks.items() if not each.parts}
    known = all_styles()
    identity: dict[str, Any] = {
        "suite": "paper",
        "tasks": {name: each.version for name, each in tasks.items()},
        "styles": {
            name: (known[each.headline],) for name, each in asked.items() if each.headline in known
        },
        "seed": 0,
        "limit": None,
        "ids": (),
        "fits": {name: each.fit for name, each in asked.items()},
        "runner": "vipllava",
        "model": model,
        "settings": Settings(**settings),
        "requests": {},
    } | fields.pop("identity", {})
    given: dict[str, Any] = {
        "run_id": "",
        "identity": Identity(**identity),
        "settings_digest": "b" * 64,
        "tasks": tasks,
        "n_requests": 1,
        "batch_size": 1,
        "plan_digest": "c" * 64,
        "versions": {},
        "commit": None,
        "dirty": None,
        "started": "2026-01-01T00:00:00+00:00",
    }
    made = Manifest(**(given | fields))
    return made.model_copy(update={"run_id": manifests.run_id(made.identity)})


def save_rows(folder: Path, made: Manifest, rows: Iterable[Row]) -> Path:
    """Write a run folder that holds a manifest and a summary only."""
    manifests.write(folder, made)
    files.write_json(folder / SUMMARY, [row.model_dump(mode="json") for row in rows])
    return folder


@cache
def _headline(task: str) -> str:
    """Name the headline style of a task; reading its file for each line would take minutes."""
    return load_task(task).styles[0]


def line(task: str, id_: str, value: float | None, **fields: Any) -> ScoreLine:
    given: dict[str, Any] = {
        "style": _headline(task),
        "metric": "text_match",
        "answer": None if value is None else "A",
        "target": "A",
        "group": id_,
        "tags": {},
        "truncated": False,
        "error": "no image" if value is None else None,
    }
    return ScoreLine(task=task, id=id_, value=value, **(given | fields))


def lines(
    task: str, values: Sequence[float | None], tags: Tags | None = None, **fields: Any
) -> list[ScoreLine]:
    """Make one line a value; two samples share each image."""
    return [
        line(task, f"q{i}", value, group=f"image{i // 2}", tags=tags or {}, **fields)
        for i, value in enumerate(values)
    ]


def save_scores(folder: Path, made: Manifest, scores: Sequence[ScoreLine]) -> Path:
    """Write a run folder with its scores, and the summary that follows from them."""
    files.write_lines(folder / SCORES, scores)
    return save_rows(folder, made, summarise(made, scores))
