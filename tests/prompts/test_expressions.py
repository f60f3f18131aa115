from pathlib import Path

import pytest

from vipbench.data.tasks import all_styles
from vipbench.errors import TaskError
from vipbench.prompts.colors import COLORS
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.styles import SHAPES, load_styles
from vipbench.schema import PromptStyle, Shape

TASKS = Path(__file__).parent.parent.parent / "tasks"
KNOWN = load_styles((TASKS,))
OFFICIAL = KNOWN["official_rectangles"]
TRAINING = KNOWN["official_training"]


def one(expression: str, headline: PromptStyle | None = None) -> PromptStyle:
    (style,) = parse_styles(expression, KNOWN, headline)
    return style


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
    both = parse_styles("none,rectangle:red:width=2,6", KNOWN)
    assert [style.name for style in both][1:] == ["rectangle:red:width=2", "rectangle:red:width=6"]
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
    assert one("rectangle:blue:alpha=0", TRAINING).alpha == 0
    assert one("rectangle:blue:alpha=255", TRAINING).alpha == 255


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
        ("dmeo", "style 'dmeo': 'dmeo' is unknown · did you mean 'demo'?"),
        ("rectangel:red", "'rectangel' is unknown · did you mean 'rectangle'?"),
        ("rectangle:rad", "'rad' is unknown · did you mean 'red'?"),
        ("triangle:letter", "'letter' is unknown"),
        ("tag:REF", "'REF' is unknown · did you mean 'red'? · a tag that says so is tag:text=REF"),
        ("rectangle:Red", "'Red' is unknown · did you mean 'red'?"),
        ("rectangle:#12", "color '#12' is unknown"),
        ("rectangle:red:aplha=3", "rectangle takes no 'aplha' · did you mean 'alpha'?"),
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


def test_marks_that_are_named_and_not_drawn() -> None:
    drawn, named = one("rectangle:red+tag:letter"), one("named:rectangle:red+tag:letter")
    assert named == drawn.model_copy(
        update={"name": "named:rectangle:red+tag:letter", "kind": "named"}
    )
    with pytest.raises(TaskError, match="'none' draws no marks that could be named"):
        one("named:none")
    words = parse_styles("words", KNOWN, KNOWN["demo"])
    assert [style.kind for style in words] == ["marks", "marks", "marks", "named", "none"]
    assert {style.shapes for style in words if style.kind != "none"} == {("rectangle",)}
