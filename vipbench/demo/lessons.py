"""What the embedded checkpoint is taught: samples of the benchmarks' own tasks, and exercises.

Built on the project's readers, styles and prompts. Each batch is a pure function of its step.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from PIL import Image

from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.tasks import all_styles, load_task
from vipbench.demo.embedded import sources
from vipbench.demo.scenes import COLORS, FIGURES, Figure, draw_scene, make_scene
from vipbench.images.draw import render
from vipbench.images.fit import fit
from vipbench.images.load import load_pixels
from vipbench.prompts.colors import COLORS as MARK_COLORS
from vipbench.prompts.colors import color_group
from vipbench.prompts.marks import keyed, resolve
from vipbench.prompts.mentions import LETTERS
from vipbench.prompts.request import build_request
from vipbench.prompts.styles import SHAPES
from vipbench.prompts.wording import CHOICE_TEMPLATE, SHORT_TEMPLATE
from vipbench.schema import PromptStyle, Region, Sample

TASKS = (
    "visual7w_pointing",
    "pointqa_looktwice",
    "pointqa_looktwice_object",
    "vcr_qa",
    "vcr_qar",
    "vip_bench_drawn",
)


class Lesson(NamedTuple):
    """One question with its answer; text alone where there are no pixels."""

    text: str
    answer: str
    pixels: np.ndarray | None
    """(size, size, 3) uint8, rows first."""
    kind: str


class Look(NamedTuple):
    """One scene with what is in each of its cells, for teaching the vision tower to see."""

    pixels: np.ndarray
    """(size, size, 3) uint8, rows first."""
    cells: np.ndarray
    """(4, 4) int64, a row a cell: shape and colour of the figure, shape and colour of its mark, as
    indices in LOOKS; 0 where there is none."""


LOOKS: tuple[tuple[str, ...], ...] = (
    ("", *FIGURES),
    ("", *COLORS),
    ("", *SHAPES),
    ("", *MARK_COLORS),
)


class Phase(NamedTuple):
    """A part of the curriculum: how many steps, and how often each kind of lesson comes."""

    steps: int
    weights: Mapping[str, float]


N_SCENES = 6000
LOOKING = 2000
"""Steps of looking, before the phases."""
PHASES = (
    # binding option letters to options is learnt from text alone, and hardly otherwise; from letter
    # to option comes first, from option to letter needs short options to begin with
    Phase(1123, {"lookup": 1.0}),
    Phase(900, {"letter": 0.75, "lookup": 0.25}),
    # next: to name what a mark points at, and the mark on a thing that is named
    Phase(300, {"few": 0.6, "vip_bench_drawn": 0.2, "letter": 0.1, "lookup": 0.1}),
    Phase(
        800,
        {
            "lookup": 0.05,
            "letter": 0.08,
            "few": 0.05,
            "vip_bench_drawn": 0.35,
            "reverse": 0.35,
            "pointqa_looktwice_object": 0.12,
        },
    ),
    Phase(
        370,
        {
            "letter": 0.1,
            "vip_bench_drawn": 0.2,
            "reverse": 0.55,
            "pointqa_looktwice_object": 0.15,
        },
    ),
    # next: to tell marks apart, where every figure has one
    Phase(
        300,
        {
            "letter": 0.08,
            "among": 0.4,
            "vip_bench_drawn": 0.1,
            "reverse": 0.32,
            "pointqa_looktwice_object": 0.1,
        },
    ),
    # next: the questions of the benchmarks
    Phase(
        265,
        {
            "visual7w_pointing": 0.22,
            "pointqa_looktwice": 0.17,
            "pointqa_looktwice_object": 0.03,
            "vcr_qa": 0.15,
            "vcr_qar": 0.17,
            "vip_bench_drawn": 0.1,
            "reverse": 0.09,
            "among": 0.05,
            "letter": 0.02,
        },
    ),
    # the way from a figure to its mark, which Visual7W takes, begins with figures that are alone
    Phase(
        350,
        {
            "reverse_few": 0.45,
            "reverse": 0.2,
            "among": 0.1,
            "visual7w_pointing": 0.1,
            "pointqa_looktwice": 0.1,
            "vcr_qar": 0.05,
        },
    ),
    Phase(
        170,
        {
            "visual7w_pointing": 0.33,
            "pointqa_looktwice": 0.17,
            "vcr_qa": 0.07,
            "vcr_qar": 0.1,
            "vip_bench_drawn": 0.08,
            "reverse": 0.1,
            "reverse_few": 0.07,
            "among": 0.05,
            "letter": 0.03,
        },
    ),
    Phase(
        229,
        {
            "visual7w_pointing": 0.42,
            "reverse": 0.18,
            "reverse_few": 0.12,
            "pointqa_looktwice": 0.14,
            "vcr_qar": 0.06,
            "vip_bench_drawn": 0.05,
            "letter": 0.03,
        },
    ),
    Phase(
        248,
        {
            "visual7w_pointing": 0.12,
            "pointqa_looktwice": 0.31,
            "vcr_qa": 0.07,
            "vcr_qar": 0.14,
            "vip_bench_drawn": 0.27,
            "reverse": 0.03,
            "among": 0.06,
        },
    ),
    Phase(
        700,
        {
            "visual7w_pointing": 0.1,
            "pointqa_looktwice": 0.26,
            "vcr_qa": 0.15,
            "vcr_qar": 0.15,
            "vip_bench_drawn": 0.28,
            "among": 0.06,
        },
    ),
)


class Lessons:
    """Makes lessons from training data that `vipbench demo make` wrote."""

    def __init__(self, data: Path, size: int, seed: int) -> None:
        """Read all samples of the training data in `data`; images are fitted to `size` px."""
        self.size, self.seed = size, seed
        self.sources = sources(data)
        self.style: PromptStyle = all_styles()["demo"]
        self.scenes: dict[int, tuple[list[Figure], Image.Image]] = {}
        self.specs = {name: load_task(name) for name in TASKS}
        self.images: dict[str, Path] = {}
        self.samples = {name: self._read(name) for name in TASKS}
        self._exercises: dict[str, Callable[[Random], Lesson]] = {
            "lookup": self._lookup,
            "letter": self._letter,
            "reverse": self._reverse,
            "reverse_few": self._reverse_few,
            "few": self._few,
            "among": self._among,
        }

    def _read(self, name: str) -> list[Sample]:
        spec = self.specs[name]
        source = self.sources[str(spec.data)]
        self.images[name] = source.images
        samples = (s for s in load_samples(spec, source) if isinstance(s, Sample))
        inspected = (inspect_image(sample, source)[0] for sample in samples)
        return [sample for sample in inspected if sample is not None]

    def batch(self, step: int, size: int) -> list[Lesson]:
        """Make the lessons of one step; the same step gives the same lessons."""
        rng = keyed("lessons", self.seed, step)
        kinds, weights = zip(*_phase(step).weights.items(), strict=True)
        return [self.lesson(kind, rng) for kind in rng.choices(kinds, weights, k=size)]

    def looks(self, step: int, size: int) -> list[Look]:
        """Make the looks of one step; the same step gives the same looks."""
        rng = keyed("looks", self.seed, step)
        return [self._look(rng) for _ in range(size)]

    def _look(self, rng: Random) -> Look:
        """Mark some figures of a scene of the training data, or none."""
        figures, image = self._scene(rng.randrange(N_SCENES))
        marked = [figure for figure in figures if rng.random() < 0.6]
        regions = [Region(box=figure.box, polygons=(figure.polygon,)) for figure in marked]
        marks = resolve(regions, self.style, rng.getrandbits(40), "look")
        cells = np.zeros((4, len(LOOKS)), dtype=np.int64)
        for figure in figures:
            cells[figure.cell, :2] = LOOKS[0].index(figure.shape), LOOKS[1].index(figure.color)
        for figure, (mark, word, _) in zip(marked, marks, strict=True):
            cells[figure.cell, 2:] = LOOKS[2].index(mark.shape), LOOKS[3].index(word or "")
        drawn = render(image, [mark for mark, *_ in marks])
        return Look(fit(drawn, "pad", self.size), cells)

    def _scene(self, number: int) -> tuple[list[Figure], Image.Image]:
        """Draw one of the scenes for looking at, and remember it."""
        if number not in self.scenes:
            rng = keyed("scene", self.seed, number)
            kinds = [
                (rng.choice(FIGURES), rng.choice(list(COLORS))) for _ in range(rng.randint(1, 4))
            ]
            figures = make_scene(kinds, rng)
            self.scenes[number] = figures, draw_scene(figures, rng)
        return self.scenes[number]

    def lesson(self, kind: str, rng: Random) -> Lesson:
        """Make one lesson of a kind: an exercise, or a question of the task of that name."""
        if kind in self._exercises:
            return self._exercises[kind](rng)
        sample = rng.choice(self.samples[kind])
        request = build_request(sample, self.style, rng.getrandbits(40))
        pixels = load_pixels(request, self.images[kind], self.size)
        return Lesson(request.turns[0], sample.target, pixels, kind)

    def _few(self, rng: Random) -> Lesson:
        """Ask for color or shape of a marked figure that is alone, or one of two."""
        kinds = [
            (rng.choice(FIGURES), rng.choice(list(COLORS))) for _ in range(rng.choice((1, 1, 2)))
        ]
        figures = make_scene(kinds, rng)
        return self._naming(figures[:1], draw_scene(figures, rng), rng, "few")

    def _among(self, rng: Random) -> Lesson:
        """Ask for color or shape of one of the figures of a scene, all of which are marked."""
        figures, image = self._scene(rng.randrange(N_SCENES))
        return self._naming(figures, image, rng, "among")

    def _naming(self, marked: list[Figure], image: Image.Image, rng: Random, kind: str) -> Lesson:
        """Mark figures and ask for color or shape of one of them."""
        index = rng.randrange(len(marked))
        ask = rng.choice(("color", "shape"))
        sample = Sample(
            id=kind, image="-", question=f"What {ask} is <r{index}>?", target="-", group="-",
            regions=tuple(
                Region(box=figure.box, polygons=(figure.polygon,)) for figure in marked
            ),
            task=self.specs["vip_bench_drawn"],
        )  # fmt: skip
        request = build_request(sample, self.style, rng.getrandbits(40))
        pixels = fit(render(image, request.visual_prompts), request.fit, self.size)
        return Lesson(request.turns[0], getattr(marked[index], ask), pixels, kind)

    def _reverse(self, rng: Random) -> Lesson:
        """Ask for the mark on a figure that is named: `blue ellipse`."""
        sample = rng.choice(self.samples["visual7w_pointing"])
        request = build_request(sample, self.style, rng.getrandbits(40))
        mark = request.visual_prompts[sample.target_region or 0]
        question = sample.question.replace("Which object is", "Which mark is on")
        text = SHORT_TEMPLATE.replace("{question}", question)
        pixels = load_pixels(request, self.images["visual7w_pointing"], self.size)
        return Lesson(text, f"{color_group(mark.color)} {mark.shape}", pixels, "reverse")

    def _reverse_few(self, rng: Random) -> Lesson:
        """Ask for the mark on a named figure of a scene of one to four, all of which are marked."""
        figures, image = self._scene(rng.randrange(N_SCENES))
        index = rng.randrange(len(figures))
        regions = [Region(box=figure.box, polygons=(figure.polygon,)) for figure in figures]
        marks = resolve(regions, self.style, rng.getrandbits(40), "reverse_few")
        question = f"Which mark is on the {figures[index].name}?"
        text = SHORT_TEMPLATE.replace("{question}", question)
        pixels = fit(render(image, [mark for mark, *_ in marks]), "pad", self.size)
        mark = marks[index].prompt
        answer = f"{color_group(mark.color)} {mark.shape}"
        return Lesson(text, answer, pixels, "reverse_few")

    def _lookup(self, rng: Random) -> Lesson:
        """Ask for the letter of an option, or for what an option says; no image."""
        values, choices = rng.choice((self._marks, self._facts))(rng)
        index = rng.randrange(len(values))
        if rng.random() < 0.5:
            question, answer = f"Which is {values[index]}?", LETTERS[index]
        else:
            question, answer = f"What is {LETTERS[index]}?", values[index]
        options = "\n".join(f"{a}. {b}" for a, b in zip(LETTERS, choices, strict=False))
        text = CHOICE_TEMPLATE.replace("{question}", question).replace("{choices}", options)
        return Lesson(text, answer, None, "lookup")

    def _letter(self, rng: Random) -> Lesson:
        """Ask for the letter of an option that is short more often than not; no image."""
        values, choices = rng.choice((self._marks, self._facts))(rng)
        index = rng.randrange(len(values))
        if rng.random() < 0.6:
            choices = values
        options = "\n".join(f"{a}. {b}" for a, b in zip(LETTERS, choices, strict=False))
        question = f"Which is {values[index]}?"
        text = CHOICE_TEMPLATE.replace("{question}", question).replace("{choices}", options)
        return Lesson(text, LETTERS[index], None, "letter")

    def _marks(self, rng: Random) -> tuple[list[str], list[str]]:
        """Make options as Visual7W has them."""
        regions = tuple(Region(box=(0, 0, 1, 1)) for _ in range(4))
        sample = Sample(
            id="lookup", image="-", question="-", target="A", group="-", regions=regions,
            choices=("<r0>", "<r1>", "<r2>", "<r3>"),
        )  # fmt: skip
        request = build_request(sample, self.style, rng.getrandbits(40))
        choices = [line[3:] for line in request.turns[0].split("\n")[1:5]]
        marks = request.visual_prompts
        return [f"{color_group(mark.color)} {mark.shape}" for mark in marks], choices

    def _facts(self, rng: Random) -> tuple[list[str], list[str]]:
        """Make options as the synthetic VCR has them."""
        pool, article = rng.choice(((list(COLORS), ""), (list(FIGURES), "a ")))
        values = rng.sample(pool, 4)
        subject = "It"
        if rng.random() < 0.25:
            subject = self._marks(rng)[1][0]
        return values, [f"{subject} is {article}{value}." for value in values]


def _phase(step: int) -> Phase:
    for phase in PHASES:
        if step < phase.steps:
            return phase
        step -= phase.steps
    return PHASES[-1]
