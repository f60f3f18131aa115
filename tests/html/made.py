"""Run folders made by code, in the real format, so that a test says what was asked and answered."""

import hashlib
import json
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image

from vipbench import files
from vipbench.images.load import load_measured
from vipbench.prompts.colors import COLORS
from vipbench.prompts.request import request_key
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder import trials_file
from vipbench.runfolder.folder import REQUESTS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.lines import ResponseLine, ScoreLine
from vipbench.runfolder.manifest import Identity, Manifest, Settings, TaskRun
from vipbench.schema import (
    Kind,
    PromptStyle,
    Region,
    Request,
    Shape,
    StyleKind,
    Trial,
    VisualPrompt,
)
from vipbench.scoring import scorers, summary

SIZE = 48
"""px; what the made-up model sees."""


class Item(NamedTuple):
    """One sample under one style, and what the model said."""

    id: str = "q1"
    question: str = "What is the thing within the red rectangle?"
    answer: str | None = "A"
    """None: the model failed."""
    target: str = "A"
    style: str = "demo"
    shape: Shape = "rectangle"
    color: str = "red"
    choices: tuple[str, ...] = ("a cat", "a dog", "a cup")
    group: str = "1.png"
    finish: str = "stop"
    others: tuple[str, ...] = ()
    """Further images; the mark lies in the last one."""


STYLES: dict[str, StyleKind] = {"demo": "marks", "other": "marks", "none": "none", "blind": "blind"}


def write_image(folder: Path, name: str = "1.png") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (60, 40), (200, 190, 170))
    image.paste((20, 120, 60), (12, 8, 30, 26))
    image.save(folder / name)


def write_run(
    folder: Path,
    items: Sequence[Item],
    *,
    images: Path,
    model: str = "model",
    task: str = "own",
    version: int = 1,
    kind: Kind = "choice",
    redistribute: bool = True,
    synthetic: bool = False,
    seed: int = 0,
    image_size: int | None = SIZE,
    n_samples: int | None = None,
    with_pixels: bool = False,
) -> Path:
    """Write a finished run; `with_pixels` records what the model saw, as a real one does."""
    manifest = _manifest(
        items, model, task, version, kind, redistribute, synthetic, seed, image_size, images
    )
    if n_samples is not None:
        of_task = manifest.tasks[task].model_copy(update={"n_samples": n_samples})
        manifest = manifest.model_copy(update={"tasks": {task: of_task}})
    trials = [_trial(item, task, version, kind, seed) for item in items]
    manifest = _asking(manifest, trials)
    responses = []
    for item, trial in zip(items, trials, strict=True):
        request = trial.request
        assert request is not None
        pixels = None
        if with_pixels and image_size:
            pixels = load_measured(request, images, image_size).digest
        responses.append(
            ResponseLine(
                task=task, style=item.style, id=item.id, key=request.key, batch=0,
                text=item.answer, error=None if item.answer is not None else "the model failed",
                finish="error" if item.answer is None else item.finish,  # type: ignore[arg-type]
                pixels=pixels,
            )
        )  # fmt: skip
    lines = [scorers.score_line(t, r) for t, r in zip(trials, responses, strict=True)]
    write_scores(folder, manifest, lines)
    trials_file.write_trials(folder / REQUESTS, trials)
    files.write_lines(folder / RESPONSES, responses)
    return folder


def _asking(manifest: Manifest, trials: Sequence[Trial]) -> Manifest:
    """Return the manifest with the digest of what is asked of its only task."""
    [task] = manifest.tasks
    digest = hashlib.sha256(b"".join(map(manifests.trial_facts, trials))).hexdigest()
    identity = manifest.identity.model_copy(update={"requests": {task: digest}})
    return manifest.model_copy(update={"identity": identity, "run_id": manifests.run_id(identity)})


def write_scores(folder: Path, manifest: Manifest, lines: Sequence[ScoreLine]) -> None:
    """Write the scores of a run, and what follows from them."""
    manifests.write(folder, manifest)
    files.write_lines(folder / SCORES, lines)
    rows = summary.summarise(manifest, lines)
    files.write_json(folder / SUMMARY, [row.model_dump(mode="json") for row in rows])


def _trial(item: Item, task: str, version: int, kind: Kind, seed: int) -> Trial:
    letters = "ABCDEFGH"[: len(item.choices)] if kind == "choice" else ""
    listed = [f"{letter}. {each}" for letter, each in zip(letters, item.choices, strict=False)]
    is_marked = STYLES[item.style] == "marks"
    prompt = VisualPrompt(
        region=Region(box=(12, 8, 30, 26), image=len(item.others)),
        shape=item.shape,
        color=COLORS[item.color],
        alpha=255,
        width=6.0,
        seed=seed,
    )
    shown = (item.group, *item.others)
    request = Request(
        task=task,
        style=item.style,
        id=item.id,
        turns=("\n".join([item.question, *listed]),),
        image=item.group,
        images=shown if item.others else (),
        visual_prompts=(prompt,) if is_marked else (),
        blind=item.style == "blind",
        fit="pad",
        max_new_tokens=16,
        options=tuple(letters),
        key="",
    )
    return Trial(
        task=task,
        style=item.style,
        id=item.id,
        request=request.model_copy(update={"key": request_key(request, version, shown)}),
        kind=kind,
        target=item.target,
        group=item.group,
        tags={"shape": (item.shape,), "color": (item.color,)} if is_marked else {},
    )


def _manifest(
    items: Sequence[Item],
    model: str,
    task: str,
    version: int,
    kind: Kind,
    redistribute: bool,
    synthetic: bool,
    seed: int,
    image_size: int | None,
    images: Path,
) -> Manifest:
    styles = tuple(
        PromptStyle(name=name, kind=STYLES[name]) for name in dict.fromkeys(i.style for i in items)
    )
    settings = Settings(weights="0" * 64, prompt_format="hf", dtype="float32", decoding="greedy")
    identity = Identity(
        suite="custom", tasks={task: version}, styles={task: styles}, seed=seed, limit=None,
        ids=(), fits={task: "pad"}, runner="vipllava", model=model, settings=settings,
        requests={task: "0" * 64},
    )  # fmt: skip
    of_task = TaskRun(
        version=version, kind=kind, headline=styles[0].name, fit="pad",
        breakdown=("shape", "color"), chance=0.25, redistribute=redistribute, images=str(images),
        synthetic=synthetic, n_samples=len({item.id for item in items}),
    )  # fmt: skip
    return Manifest(
        run_id=manifests.run_id(identity), identity=identity,
        settings_digest=manifests.settings_digest(settings), tasks={task: of_task},
        n_requests=len(items), image_size=image_size, batch_size=4, plan_digest="", device="cpu",
        versions={"vipbench": "0.1.0"}, commit="0123456789abcdef", dirty=False,
        started="2026-01-01T00:00:00+00:00", finished="2026-01-01T00:01:00+00:00",
    )  # fmt: skip


class Page(HTMLParser):
    """What a browser makes of a page: its elements, its data and its text outside scripts."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.styles: list[str] = []
        self.text = ""
        self._inside = ""
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    @property
    def data(self) -> Any:  # plain JSON
        return json.loads(self.scripts[0])

    def named(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag
        if tag in ("script", "style"):
            getattr(self, f"{tag}s").append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            getattr(self, f"{self._inside}s")[-1] += data
        else:
            self.text += data
