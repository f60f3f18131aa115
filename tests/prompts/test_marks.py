from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from vipbench.errors import TaskError
from vipbench.prompts.colors import COLORS, color_rgb
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.marks import Mark, keyed, resolve, seed_of
from vipbench.prompts.styles import SHAPES, load_styles
from vipbench.schema import RGB, PromptChoices, PromptStyle, Region, Shape

TASKS = Path(__file__).parent.parent.parent / "tasks"
KNOWN = load_styles((TASKS,))
OFFICIAL = KNOWN["official_rectangles"]
TRAINING = KNOWN["official_training"]


def regions(n: int) -> tuple[Region, ...]:
    return tuple(Region(box=(i, i, i + 5, i + 5)) for i in range(n))


def words(marks: tuple[Mark, ...]) -> list[str | None]:
    return [mark.color_word for mark in marks]


def colors(marks: tuple[Mark, ...]) -> list[RGB]:
    return [mark.prompt.color for mark in marks]


def one(expression: str, headline: PromptStyle | None = None) -> PromptStyle:
    (style,) = parse_styles(expression, KNOWN, headline)
    return style


def test_the_same_arguments_give_the_same_marks() -> None:
    for style in (KNOWN["demo"], TRAINING, one("arrow:red")):
        marks = [resolve(regions(4), style, 7, "id", 1) for _ in range(2)]
        assert marks[0] == marks[1]


def test_seed_id_and_index_key_the_draws() -> None:
    drawn = {
        (seed, sample): resolve(regions(4), TRAINING, seed, sample)
        for seed in range(3)
        for sample in ("a", "b")
    }
    assert len({str(marks) for marks in drawn.values()}) == 6
    seeds = [mark.prompt.seed for marks in drawn.values() for mark in marks]
    assert len(set(seeds)) == len(seeds)
    assert max(seeds) < 2**52
    # shape, opacity and geometry of a mark do not depend on how many follow it
    few, many = (resolve(regions(n), TRAINING, 0, "a") for n in (2, 5))
    for one_, other in zip(few, many, strict=False):
        assert one_.prompt.shape == other.prompt.shape
        assert one_.prompt.seed == other.prompt.seed


def test_a_width_sweep_moves_nothing_else() -> None:
    thin, thick = parse_styles("scribble:red x width=2,6", KNOWN)
    pair = [resolve(regions(4), style, 0, "a", 2) for style in (thin, thick)]
    for left, right in zip(*pair, strict=True):
        assert left.prompt.model_copy(update={"width": 6}) == right.prompt


def test_seeds_are_the_same_in_every_version() -> None:
    assert seed_of(0, "v7w-1", 2, "geometry") == 2343953512231646
    [mark] = resolve(regions(1), TRAINING, 3, "v7w-1")
    assert mark.prompt.seed == seed_of(3, "v7w-1", 0, "geometry") == 3502535222233572
    style = KNOWN["official_points"]
    named = [words(resolve(regions(1), style, seed, "a"))[0] for seed in range(6)]
    assert named == ["yellow", "blue", "yellow", "red", None, "red"]
    rng = keyed(0, "a", "colors")
    assert [rng.randrange(1000) for _ in range(4)] == [194, 85, 236, 261]


@pytest.mark.parametrize("n", [2, 4, 9])
def test_official_marks_of_one_shape_have_distinct_named_colors(n: int) -> None:
    firsts = Counter[str | None]()
    for seed in range(400):
        marks = resolve(regions(n), OFFICIAL, seed, "a")
        assert len(set(words(marks))) == n
        assert [COLORS[word] for word in words(marks) if word] == colors(marks)
        firsts[words(marks)[0]] += 1
    assert set(firsts) == set(COLORS)
    assert max(firsts.values()) < 3 * min(firsts.values())


@pytest.mark.parametrize("n", [10, 14])
def test_after_nine_official_marks_are_random_rgb_without_a_name(n: int) -> None:
    seen = set()
    for seed in range(50):
        marks = resolve(regions(n), OFFICIAL, seed, "a")
        assert set(words(marks)[:9]) == set(COLORS)
        assert words(marks)[9:] == [None] * (n - 9)
        seen.update(colors(marks)[9:])
    assert len(seen) == 50 * (n - 9)


def test_half_of_single_official_marks_are_unnamed() -> None:
    style = KNOWN["official_points"]
    drawn = [resolve(regions(1), style, seed, "a")[0] for seed in range(2000)]
    named = Counter(mark.color_word for mark in drawn)
    assert 900 < named.pop(None) < 1100
    assert set(named) == set(COLORS)
    assert all(70 < count < 155 for count in named.values())
    unnamed = [mark.prompt.color for mark in drawn if mark.color_word is None]
    assert len(set(unnamed)) > 800
    for channel in zip(*unnamed, strict=True):
        assert (min(channel), max(channel)) == (0, 255)
        assert 115 < sum(channel) / len(channel) < 140


def test_the_official_coin_is_thrown_for_each_shape_that_occurs_once() -> None:
    named = {1: Counter[bool](), 2: Counter[bool]()}
    for seed in range(600):
        marks = resolve(regions(3), TRAINING, seed, "a")
        counts = Counter(mark.prompt.shape for mark in marks)
        for mark in marks:
            count = counts[mark.prompt.shape]
            if count < 3:
                named[count][mark.color_word is not None] += 1
    assert named[2].keys() == {True}
    assert 0.42 < named[1][True] / named[1].total() < 0.58


def test_opacity_of_the_training_style() -> None:
    drawn: dict[str, set[int]] = {"mask": set(), "other": set()}
    for seed in range(1500):
        (mark,) = resolve(regions(1), TRAINING, seed, "a")
        assert mark.prompt.width is None
        drawn["mask" if mark.prompt.shape == "mask" else "other"].add(mark.prompt.alpha)
    assert min(drawn["mask"]) in range(48, 55)
    assert max(drawn["mask"]) in range(122, 129)
    assert (min(drawn["other"]), max(drawn["other"])) == (96, 255)


@pytest.mark.parametrize(("shape", "low", "high"), [("mask", 48, 128), ("arrow", 96, 255)])
def test_the_training_range_of_the_opacity_is_drawn_to_its_ends(
    shape: Shape, low: int, high: int
) -> None:
    style = PromptStyle(name="s", shapes=(shape,), colors=("red",))
    drawn = {resolve(regions(1), style, seed, "a")[0].prompt.alpha for seed in range(3000)}
    assert drawn == set(range(low, high + 1))


def test_named_styles_give_distinct_colors_and_names() -> None:
    demo = KNOWN["demo"]
    for seed in range(50):
        marks = resolve(regions(6), demo, seed, "a")
        assert sorted(filter(None, words(marks))) == sorted(demo.colors)
        assert {mark.prompt.shape for mark in marks} <= set(demo.shapes)
        assert all(m.prompt.width == demo.width[m.prompt.shape] for m in marks)
    with pytest.raises(TaskError, match=r"style 'demo' has 6 colors, but there are 7 regions"):
        resolve(regions(7), demo, 0, "a")
    with pytest.raises(TaskError, match=r"style 'red_point' has 1 colors, but there are 2"):
        resolve(regions(2), KNOWN["red_point"], 0, "a")


@pytest.mark.parametrize("expression", ["arrow:lime", "arrow:#1e90ff", "arrow:#00ff00"])
@pytest.mark.parametrize("n", [1, 2, 4, 9, 10, 13])
def test_an_inline_color_goes_to_the_lead_and_others_are_distinct(expression: str, n: int) -> None:
    style = one(expression)
    own = color_rgb(style.colors[0])
    for lead in range(n):
        marks = resolve(regions(n), style, lead, "a", lead)
        assert colors(marks)[lead] == own
        assert len(set(colors(marks))) == n
        named = [word for word in words(marks) if word]
        assert len(set(named)) == len(named)
        unnamed_lead = marks[lead].color_word is None
        assert unnamed_lead == ("#" in expression)
        left_in_pool = len(COLORS) - (own in COLORS.values())
        assert len(named) == min(n - 1, left_in_pool) + (not unnamed_lead)


def test_an_inline_style_without_a_color_uses_the_headlines_then_the_pool() -> None:
    style = one("arrow", KNOWN["demo"])
    assert set(words(resolve(regions(6), style, 0, "a"))) == set(KNOWN["demo"].colors)
    marks = resolve(regions(9), style, 0, "a", 8)
    assert set(words(marks)) == set(COLORS)
    assert marks[8].color_word in KNOWN["demo"].colors


def test_choices_fix_shapes_and_colors() -> None:
    choices = PromptChoices(colors=("gold", (1, 2, 3), None, "#0a0b0c"), shapes=("arrow",) * 4)
    marks = resolve(regions(4), OFFICIAL, 0, "a", 0, choices)
    assert words(marks) == ["gold", None, None, None]
    assert colors(marks)[:2] == [COLORS["gold"], (1, 2, 3)]
    assert colors(marks)[3] == (10, 11, 12)
    assert {mark.prompt.shape for mark in marks} == {"arrow"}
    other = resolve(regions(4), OFFICIAL, 1, "a", 0, choices)
    assert colors(other)[2] != colors(marks)[2]


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        (PromptChoices(colors=("red",)), "1 colors were chosen, but there are 2 regions"),
        (PromptChoices(colors=("red",) * 3), "3 colors were chosen, but there are 2 regions"),
        (PromptChoices(shapes=("point",)), "1 shapes were chosen, but there are 2 regions"),
        (PromptChoices(colors=("rad", "red")), "color 'rad' is unknown · did you mean 'red'?"),
    ],
)
def test_choices_that_do_not_fit(choices: PromptChoices, said: str) -> None:
    with pytest.raises(TaskError) as caught:
        resolve(regions(2), OFFICIAL, 0, "a", 0, choices)
    assert said in str(caught.value)


def test_no_regions_no_marks() -> None:
    for style in (OFFICIAL, KNOWN["demo"], one("arrow:red")):
        assert resolve((), style, 0, "a") == ()


def test_random_styles_keep_their_promises() -> None:
    rng = keyed("styles")
    for seed in range(300):
        shapes = rng.sample(SHAPES, rng.randint(1, 8))
        pool = rng.sample(list(COLORS), rng.randint(1, 9))
        n = rng.randint(1, len(pool))
        style = PromptStyle(name="s", shapes=tuple(shapes), colors=tuple(pool), alpha=(9, 99))
        marks = resolve(regions(n), style, seed, "a")
        assert set(words(marks)) <= set(pool)
        assert len(set(colors(marks))) == n
        assert all(9 <= mark.prompt.alpha <= 99 for mark in marks)
        assert [mark.prompt.region for mark in marks] == list(regions(n))
        assert all(a.prompt.seed != b.prompt.seed for a, b in pairwise(marks))
