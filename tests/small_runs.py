"""Small runs of a task `own` that were never run: their scores, their manifest, their folder."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from vipbench import files
from vipbench.data.suites import Suite
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import SUMMARY
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Identity, Manifest, Settings, TaskRun
from vipbench.schema import PromptStyle, Tags
from vipbench.scoring.summary import summarise

RED: Tags = {"shape": ("rectangle",), "color": ("red",), "size": ("small",), "n_marks": ("1",)}
BLUE: Tags = {"shape": ("ellipse",), "color": ("blue",), "size": ("large",), "n_marks": ("10",)}
AXES: tuple[str, ...] = Suite.model_fields["breakdown"].default


def line(
    id_: str,
    value: float | None = 1.0,
    *,
    task: str = "own",
    style: str = "demo",
    tags: Tags = RED,
    **fields: Any,
) -> ScoreLine:
    given: dict[str, Any] = {
        "metric": "text_match",
        "answer": None if value is None else "A",
        "target": "A",
        "group": id_,
        "truncated": False,
        "error": "no image" if value is None else None,
    }
    return ScoreLine(task=task, style=style, id=id_, value=value, tags=tags, **(given | fields))


def task(n_samples: int, **fields: Any) -> TaskRun:
    given: dict[str, Any] = {
        "version": 1,
        "kind": "choice",
        "headline": "demo",
        "fit": "pad",
        "breakdown": AXES,
    }
    return TaskRun(n_samples=n_samples, **(given | fields))


def manifest(tasks: dict[str, TaskRun], **fields: Any) -> Manifest:
    settings = Settings(
        weights="a" * 64, prompt_format="hf", dtype="float32", decoding="greedy"
    ).model_copy(update=fields.pop("settings", {}))
    identity: dict[str, Any] = {"model": "vip", "seed": 0} | fields
    made = Manifest(
        run_id="",
        identity=Identity(
            suite="custom",
            tasks={name: each.version for name, each in tasks.items()},
            styles={name: (PromptStyle(name="demo"),) for name in tasks},
            limit=None,
            ids=(),
            fits={},
            runner="vipllava",
            settings=settings,
            requests={},
            **identity,
        ),
        settings_digest="b" * 64,
        tasks=tasks,
        n_requests=1,
        batch_size=1,
        plan_digest="c" * 64,
        versions={},
        commit=None,
        dirty=None,
        started="2026-01-01T00:00:00+00:00",
    )
    return made.model_copy(update={"run_id": manifests.run_id(made.identity)})


def save(folder: Path, made: Manifest, lines: Iterable[ScoreLine]) -> Path:
    """Write the folder of a finished run."""
    rows = [row.model_dump(mode="json") for row in summarise(made, lines)]
    manifests.write(folder, made)
    files.write_json(folder / SUMMARY, rows)
    return folder
