"""Runs of one task under several styles, with scores that are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from tests import results
from vipbench.data.tasks import all_styles
from vipbench.prompts.expressions import parse_styles
from vipbench.schema import PromptStyle

TASK = "visual7w_pointing"
Values = Mapping[str, Sequence[float | None]]


def styles_of(expression: str, headline: str = "official_rectangles") -> tuple[PromptStyle, ...]:
    known = all_styles()
    return parse_styles(expression, known, known[headline])


def make(folder: Path, model: str, values: Values, *, same_image: int = 2) -> Path:
    """Write a run with one score a style and sample; the first style is the headline."""
    styles = styles_of(";".join(values))
    n = len(next(iter(values.values())))
    tasks = {TASK: results.task_run(TASK, n_samples=n, headline=styles[0].name)}
    made = results.manifest(model, tasks, identity={"styles": {TASK: styles}})
    lines = [
        results.line(TASK, f"q{i}", value, style=style.name, group=f"image{i // same_image}")
        for style in styles
        for i, value in enumerate(values[style.name])
    ]
    return results.save_scores(folder, made, lines)


def coins(seed: int, p: float, n: int = 60) -> list[float]:
    return [float(x) for x in np.random.default_rng(seed).random(n) < p]


def two(tmp_path: Path, wins: Sequence[int], n: int = 40) -> list[Path]:
    """Make runs of A and B; `wins` has for each style how many samples A is ahead."""
    names = ["official_rectangles", "rectangle:red", "arrow:red", "point:red"][: len(wins)]
    half = n // 2
    runs = []
    for model, sign in (("A", 1), ("B", -1)):
        values = {}
        for name, win in zip(names, wins, strict=True):
            n_right = half + (abs(win) if win * sign > 0 else 0)
            values[name] = [1.0] * n_right + [0.0] * (n - n_right)
        runs.append(make(tmp_path / model, model, values, same_image=1))
    return runs
