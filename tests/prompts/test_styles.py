from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from vipbench.data.tasks import all_styles
from vipbench.errors import TaskError
from vipbench.prompts.styles import (
    COLORS,
    SHAPES,
    WORDS,
    Mark,
    color_group,
    color_rgb,
    keyed,
    load_styles,
    parse_styles,
    resolve,
    seed_of,
)
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


# --- the pool and the words


def test_the_pool_is_the_official_one() -> None:
    assert COLORS == {
        "red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0),
        "fuchsia": (255, 0, 255), "aqua": (0, 255, 255), "orange": (255, 165, 0),
        "purple": (128, 0, 128), "gold": (255, 215, 0),
    }  # fmt: skip
    assert set(WORDS) == set(SHAPES)
    assert [shape for shape in SHAPES if WORDS[shape][0] == "within"] == ["rectangle", "ellipse"]
    assert [shape for shape in SHAPES if WORDS[shape][0] == "at"] == ["point"]
    assert [shape for shape in SHAPES if WORDS[shape][0] == "pointed to by"] == ["arrow"]
    assert all(WORDS[shape][1] == shape for shape in SHAPES)


def test_colors() -> None:
    assert color_rgb("gold") == (255, 215, 0)
    assert color_rgb("#1E90ff") == (30, 144, 255)
    assert color_group((0, 255, 255)) == "aqua"
    assert color_group((30, 144, 255)) == "#1e90ff"
    for bad in ("golden", "#12345", "#1234567", "#12345g", ""):
        with pytest.raises(TaskError, match=rf"color '{bad}' is unknown.*#rrggbb"):
            color_rgb(bad)


# --- styles.yaml


def test_the_styles_that_come_with_the_package() -> None:
    assert [name for name, style in KNOWN.items() if style.official] == [
        "official_rectangles",
        "official_points",
        "official_training",
    ]
    for name in ("official_rectangles", "official_points", "red_rectangle", "red_point"):
        style = KNOWN[name]
        assert (style.alpha, style.width["rectangle"], style.width["point"]) == (128, 3, 8)
    assert TRAINING.alpha is None
    assert TRAINING.width == {}
    assert TRAINING.shapes == SHAPES
    seen, unseen = KNOWN["demo"].shapes, KNOWN["demo_unseen"].shapes
    assert (len(seen), sorted((*seen, *unseen))) == (6, sorted(SHAPES))
    for kind in ("given", "none", "blind", "coordinates"):
        assert KNOWN[kind].kind == kind


def styles_file(folder: Path, text: str) -> Path:
    (folder / "styles.yaml").write_text(text, encoding="utf-8")
    return folder


def test_one_width_or_one_a_shape(tmp_path: Path) -> None:
    text = """
        all: {shapes: [point], colors: [red], width: 5}
        some: {shapes: [point], colors: ['#AABBCC'], width: {point: 8, arrow: null, default: 2.5}}
        """
    styles = load_styles((styles_file(tmp_path, text),))
    assert styles["all"].width == dict.fromkeys(SHAPES, 5)
    assert styles["some"].width == {**dict.fromkeys(SHAPES, 2.5), "point": 8, "arrow": None}
    assert styles["some"].colors == ("#aabbcc",)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("[1]", "expected a mapping, not [1]"),
        ("{shapes: [point]}", "expected 'shapes' and 'colors'"),
        ("{colors: [red]}", "expected 'shapes' and 'colors'"),
        ("{shapes: [ring], colors: [red]}", "shapes.0 = 'ring' should be 'rectangle', 'ellipse'"),
        ("{shapes: [elipse], colors: [red]}", "did you mean 'ellipse'?"),
        ("{shapes: [point], colors: [rad]}", "color 'rad' is unknown; did you mean 'red'?"),
        ("{shapes: [point], colors: [red, red]}", "color 'red' is listed twice"),
        ("{shapes: [point], colors: [red, '#FF0000']}", "color '#FF0000' is listed twice"),
        ("{shapes: [point], colors: [1]}", "colors.0 = 1 should be a valid string"),
        ("{shapes: [point], colors: [red], alpha: 300}", "alpha = 300 should be less than"),
        ("{shapes: [point], colors: [red], alpha: [9, 3]}", "alpha = [9, 3] should go from low"),
        ("{shapes: [point], colors: [red], width: 0}", "width of 'default' is 0; expected px"),
        ("{shapes: [point], colors: [red], width: x}", "width of 'default' is 'x'; expected px"),
        ("{shapes: [point], colors: [red], width: .nan}", "width of 'default' is nan"),
        ("{shapes: [point], colors: [red], width: {pont: 2}}", "'pont'; did you mean 'point'?"),
        ("{shapes: [point], colors: [red], widht: 2}", "unknown key 'widht'; did you mean 'width'"),
        ("{shapes: [point], colors: [red], inline: true}", "unknown key 'inline'"),
        ("{shapes: [point], colors: [red], name: other}", "unknown key 'name'"),
        ("{kind: nothing}", "kind = 'nothing' should be"),
        ("{kind: none, colors: [red]}", "kind 'none' draws no marks of its own"),
    ],
)
def test_mistakes_in_a_styles_file(tmp_path: Path, entry: str, said: str) -> None:
    folder = styles_file(tmp_path, f"good: {{shapes: [point], colors: [red]}}\nbad: {entry}\n")
    with pytest.raises(TaskError) as caught:
        load_styles((folder,))
    assert said in str(caught.value)
    assert f"{folder / 'styles.yaml'}: style 'bad'" in str(caught.value)


def test_several_mistakes_in_a_styles_file_at_once(tmp_path: Path) -> None:
    text = "a: {shapes: [point], colors: [rot, blau], alpha: -1}\n'b c': {kind: none}\nnone: 3\n"
    with pytest.raises(TaskError) as caught:
        load_styles((TASKS, styles_file(tmp_path, text)))
    for part in (
        "color 'rot' is unknown",
        "color 'blau' is unknown",
        "line 1: alpha = -1",
        "style 'b c': the name may hold letters",
        "style 'none' is defined twice",
    ):
        assert part in str(caught.value)


def test_an_alias_may_name_a_style_twice(tmp_path: Path) -> None:
    text = "a: &x {shapes: [point], colors: [red], width: 3}\nb: *x\n"
    styles = load_styles((styles_file(tmp_path, text),))
    assert styles["b"] == styles["a"].model_copy(update={"name": "b"})


def test_a_folder_without_a_styles_file_adds_nothing(tmp_path: Path) -> None:
    assert load_styles((tmp_path, TASKS)) == KNOWN


# --- expressions


def test_names_and_inline_styles() -> None:
    named, arrow, contour = parse_styles(
        " demo , arrow:#1E90FF:alpha=200:width=4.5,mask-contour : lime", KNOWN
    )
    assert named is KNOWN["demo"]
    assert arrow.name == "arrow:#1E90FF:alpha=200:width=4.5"
    assert (arrow.shapes, arrow.colors, arrow.alpha) == (("arrow",), ("#1e90ff",), 200)
    assert arrow.width == dict.fromkeys(SHAPES, 4.5)
    assert arrow.inline
    assert not arrow.official
    assert (contour.name, contour.shapes) == ("mask-contour:lime", ("mask contour",))


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_of_two_words_may_be_joined(shape: Shape) -> None:
    for spelt in {shape, shape.replace(" ", "_"), shape.replace(" ", "-")}:
        assert one(f"{spelt}:red").shapes == (shape,)


@pytest.mark.parametrize("times", [" x ", " × ", "×", "  x\t", "\n×\n"])  # noqa: RUF001
def test_products(times: str) -> None:
    styles = parse_styles(f"rectangle,ellipse,arrow{times}red,blue", KNOWN)
    assert [style.name for style in styles] == [
        f"{shape}:{color}" for shape in ("rectangle", "ellipse", "arrow") for color in COLORS
        if color in ("red", "blue")
    ]  # fmt: skip
    assert [(s.shapes[0], s.colors[0]) for s in styles] == [
        tuple(s.name.split(":")) for s in styles
    ]


def test_sweeps() -> None:
    styles = parse_styles("rectangle:red x width=2,6,9.5 x alpha=64,255", KNOWN)
    assert [style.name for style in styles][:3] == [
        "rectangle:red:width=2:alpha=64",
        "rectangle:red:width=2:alpha=255",
        "rectangle:red:width=6:alpha=64",
    ]
    assert [(s.width["rectangle"], s.alpha) for s in styles] == [
        (width, alpha) for width in (2, 6, 9.5) for alpha in (64, 255)
    ]
    assert [style.name for style in parse_styles("point:red:width=2,6,arrow:red", KNOWN)] == [
        "point:red:width=2",
        "point:red:width=6",
        "arrow:red",
    ]


def test_an_inline_style_takes_what_it_leaves_out_from_the_headline() -> None:
    style = one("point:blue", KNOWN["demo"])
    assert (style.alpha, style.width) == (255, KNOWN["demo"].width)
    assert one("width=5", KNOWN["red_rectangle"]).colors == ("red",)
    assert one("arrow", OFFICIAL).colors == tuple(COLORS)
    official = one("rectangle:blue", OFFICIAL)
    assert (official.alpha, official.width["rectangle"], official.official) == (128, 3, False)
    training = one("rectangle:blue", TRAINING)
    assert (training.alpha, training.width) == (None, {})
    assert one("rectangle:blue:alpha=7", TRAINING).alpha == 7


@pytest.mark.parametrize("headline", [None, KNOWN["given"], KNOWN["none"], KNOWN["coordinates"]])
def test_without_a_marked_headline_the_official_sizes_hold(headline: PromptStyle | None) -> None:
    style = one("point:blue", headline)
    assert (style.alpha, style.width["point"], style.width["arrow"]) == (128, 8, 3)


@pytest.mark.parametrize("headline", [KNOWN["demo"], OFFICIAL, KNOWN["given"]])
def test_blind_asks_as_the_headline_does(headline: PromptStyle) -> None:
    blind = one("blind", headline)
    fields = {"name": "blind", "kind": "blind", "title": KNOWN["blind"].title}
    assert blind == headline.model_copy(update=fields)


@pytest.mark.parametrize("name", ["none", "coordinates"])
def test_blind_has_nothing_to_ask_after_a_headline_without_marks(name: str) -> None:
    with pytest.raises(TaskError, match=rf"style 'blind' asks as .* but '{name}' draws no marks"):
        parse_styles("none,blind", KNOWN, KNOWN[name])


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "an empty style"),
        ("demo,", "an empty style in 'demo,'"),
        ("demo,,none", "an empty style"),
        ("dmeo", "style 'dmeo': 'dmeo' is unknown; did you mean 'demo'?"),
        ("rectangel:red", "'rectangel' is unknown; did you mean 'rectangle'?"),
        ("rectangle:rad", "'rad' is unknown; did you mean 'red'?"),
        ("rectangle:Red", "'Red' is unknown; did you mean 'red'?"),
        ("rectangle:#12", "color '#12' is unknown"),
        ("rectangle:red:aplha=3", "unknown key 'aplha'; did you mean 'alpha'?"),
        ("rectangle:red:alpha=256", "alpha=256: expected a number from 0 to 255"),
        ("rectangle:red:alpha=1.5", "alpha=1.5: expected a number"),
        ("rectangle:red:width=0", "width=0: expected a number from 0.001 to 10000"),
        ("rectangle:red:width=nan", "width=nan: expected a number"),
        ("rectangle:red:width=", "width=: expected a number"),
        ("rectangle:", "'' is unknown"),
        ("red", "expected a shape and a color"),
        ("rectangle", "expected a shape and a color"),
        ("rectangle:arrow:red", "'arrow' is a second shape"),
        ("rectangle x red,blue x lime", "'lime' is a second color"),
        ("rectangle:red:alpha=1:alpha=2", "'alpha=2' is a second alpha"),
        ("demo x red", "'demo' is a named style, to which nothing can be added"),
        ("demo:width=3", "'demo' is a named style"),
        ("demo,none,demo", "style 'demo' is listed 2 times"),
        ("point:red,point x red", "'red' is a second color"),
        ("6,rectangle:red", "'6' is unknown"),
    ],
)
def test_mistakes_in_an_expression(expression: str, said: str) -> None:
    with pytest.raises(TaskError) as caught:
        parse_styles(expression, KNOWN)
    assert said in str(caught.value)


# --- resolving


def test_the_same_arguments_give_the_same_marks() -> None:
    for style in (KNOWN["demo"], TRAINING, one("arrow:red")):
        marks = [resolve(regions(4), style, 7, "id", 1) for _ in range(2)]
        assert marks[0] == marks[1]


def test_seed_id_and_place_key_the_draws() -> None:
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
        (PromptChoices(colors=("rad", "red")), "color 'rad' is unknown; did you mean 'red'?"),
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


# --- sweeps


def names(expression: str, headline: str = "demo") -> list[str]:
    known = all_styles()
    return [style.name for style in parse_styles(expression, known, known[headline])]


@pytest.mark.parametrize(
    ("sweep", "n", "example"),
    [
        ("shapes", 8, "mask contour:red"),
        ("colors", 9, "rectangle:gold"),
        ("widths", 8, "rectangle:red:width=12"),
        ("alphas", 6, "rectangle:red:alpha=192"),
        ("all", 72 + 8 + 6, "arrow:purple"),
        ("cyclic", 3, "rotated_2"),
    ],
)
def test_named_sweeps(sweep: str, n: int, example: str) -> None:
    found = names(sweep)
    assert len(found) == len(set(found)) == n
    assert example in found


def test_sweeps_stand_beside_styles_and_share_what_they_have_in_common() -> None:
    found = names("none,shapes,colors")
    assert found[0] == "none"
    assert len(found) == 1 + 8 + 9 - 1
    assert found.count("rectangle:red") == 1


def test_a_sweep_takes_width_and_opacity_from_the_headline_style() -> None:
    known = all_styles()
    for headline, alpha, width in (("demo", 255, 12), ("official_rectangles", 128, 3)):
        styles = parse_styles("shapes", known, known[headline])
        rectangle = next(style for style in styles if style.shapes == ("rectangle",))
        assert (rectangle.alpha, rectangle.width["rectangle"]) == (alpha, width)


def test_lists_and_products_stand_side_by_side() -> None:
    assert names("demo, none; rectangle,arrow x red ;cyclic") == [
        *("demo", "none", "rectangle:red", "arrow:red", "rotated_1", "rotated_2", "rotated_3")
    ]
    with pytest.raises(TaskError, match="'none' is listed 2 times"):
        names("none; none")
    with pytest.raises(TaskError, match="empty style"):
        names("none;")


def test_a_style_of_ones_own_may_have_the_name_of_a_sweep() -> None:
    known = all_styles()
    own = {**known, "shapes": known["demo"].model_copy(update={"name": "shapes"})}
    assert [style.name for style in parse_styles("shapes", own, None)] == ["shapes"]


@pytest.mark.parametrize("control", ["blind", "wrong", "shuffled", "permuted", "rotated_1"])
def test_controls_draw_as_the_headline_style(control: str) -> None:
    known = all_styles()
    (style,) = parse_styles(control, known, known["demo"])
    assert (style.name, style.kind) == (control, known[control].kind)
    assert (style.shapes, style.width) == (known["demo"].shapes, known["demo"].width)
    assert style.shift == known[control].shift
