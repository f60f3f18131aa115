"""Mixes: requests that are asked together and have pictures or beginnings of prompts in common.

All of it is a pure function of the settings, so that a resumed bench asks the same.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Literal

from vipbench.bench.requests import spread
from vipbench.errors import RunnerError
from vipbench.schema import Trial

MixName = Literal["sweep"]
HEADLINE = "demo"
"""Style of the demo suite that a bench asks under where there is no mix."""
MIXES: Mapping[MixName, tuple[str, ...]] = {
    "sweep": (HEADLINE, "none", "blind", "wrong", "permuted", "rotated_1"),
}
"""Name -> styles that every sample is asked under: the headline's and its controls."""
MIX_TASKS = ("visual7w_pointing",)
"""Asked where the user names no task: it has options, so that all controls suit it."""


def check_mix(mix: MixName, styles: Mapping[str, Sequence[str]]) -> None:
    """Refuse a task that is not asked under all styles of a mix; `styles`: of each task."""
    for task, names in styles.items():
        missing = [name for name in MIXES[mix] if name not in names]
        if missing:
            raise RunnerError(
                f"--mix {mix}: does not suit {task}, which is not asked under {', '.join(missing)} "
                f"· expected a task with options, such as {MIX_TASKS[0]}"
            )


def whole_images(trials: Sequence[Trial], n: int) -> list[Trial]:
    """Choose about `n` trials, as many of each task: all about some images, evenly spread.

    Those about one image follow each other, and among them those of one sample.
    """
    tasks: dict[str, dict[str, dict[str, list[Trial]]]] = {}
    for trial in trials:
        images = tasks.setdefault(trial.task, {})
        images.setdefault(trial.group, {}).setdefault(trial.id, []).append(trial)
    chosen = []
    for images in tasks.values():
        groups = [[trial for sample in of.values() for trial in sample] for of in images.values()]
        wanted = n / len(tasks) / sum(map(len, groups)) * len(groups)
        for i in spread(len(groups), math.ceil(wanted)):
            chosen += groups[i]
    return chosen


def about_one_picture(trials: Sequence[Trial], n: int) -> list[Trial]:
    """Let each `n` trials of one task in a row ask about the picture of the first, with its marks.

    Of what does not make `n` in the end, nothing is asked.
    """
    kept = []
    for _, of_task in itertools.groupby(trials, key=lambda trial: trial.task):
        rows = list(of_task)
        for begin in range(0, len(rows) - n + 1, n):
            first = rows[begin].request
            for trial in rows[begin : begin + n]:
                if first is None or trial.request is None:
                    continue
                shown = {name: getattr(first, name) for name in _SHOWN}
                kept.append(
                    trial.model_copy(update={"request": trial.request.model_copy(update=shown)})
                )
    return kept


_SHOWN = ("image", "images", "draw_sizes", "visual_prompts", "blind", "exif", "surround", "fit")
"""Fields of a request that decide its pixels."""
