from pathlib import Path

import pytest

from vipbench.errors import TaskError
from vipbench.prompts.colors import COLORS, color_group, color_rgb
from vipbench.prompts.styles import SHAPES, load_styles
from vipbench.prompts.words import WORDS

TASKS = Path(__file__).parent.parent.parent / "tasks"
KNOWN = load_styles((TASKS,))


# --- the pool and the words


def test_the_pool_is_the_official_one() -> None:
    assert COLORS == {
        "red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0),
        "fuchsia": (255, 0, 255), "aqua": (0, 255, 255), "orange": (255, 165, 0),
        "purple": (128, 0, 128), "gold": (255, 215, 0),
    }  # fmt: skip
    assert set(WORDS) == {*SHAPES, "marker", "tag"}
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
    training = KNOWN["official_training"]
    assert training.alpha is None
    assert training.width == {}
    assert training.shapes == SHAPES
    seen, unseen = KNOWN["demo"].shapes, KNOWN["demo_unseen"].shapes
    assert (len(seen), sorted((*seen, *unseen))) == (6, sorted(SHAPES))
    for kind in ("given", "none", "blind", "coordinates"):
        assert KNOWN[kind].kind == kind


def test_the_numbers_of_set_of_mark_are_not_as_faint_as_its_tint() -> None:
    style = KNOWN["set_of_mark"]
    assert (style.alpha, [part.alpha for part in style.beside]) == (26, [255])


def styles_file(folder: Path, text: str) -> Path:
    (folder / "styles.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_width_may_be_below_one(tmp_path: Path) -> None:
    folder = styles_file(tmp_path, "thin: {shapes: [point], colors: [red], width: 0.5}\n")
    assert load_styles((folder,))["thin"].width["point"] == 0.5


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
        ("{shapes: [ring], colors: [red]}", "shape 'ring' is unknown"),
        ("{shapes: [elipse], colors: [red]}", "did you mean 'ellipse'?"),
        ("{shapes: [point], colors: [rad]}", "color 'rad' is unknown · did you mean 'red'?"),
        ("{shapes: [point], colors: [red, red]}", "color 'red' is listed twice"),
        ("{shapes: [point], colors: [red, '#FF0000']}", "color '#FF0000' is listed twice"),
        ("{shapes: [point], colors: [1]}", "colors.0 = 1 · expected text"),
        ("{shapes: [point], colors: [red], alpha: 300}", "alpha = 300 · expected a number up to"),
        ("{shapes: [point], colors: [red], alpha: [9, 3]}", "alpha = [9, 3] should go from low"),
        ("{shapes: [point], colors: [red], width: 0}", "width of 'default' is 0 · expected px"),
        ("{shapes: [point], colors: [red], width: x}", "width of 'default' is 'x' · expected px"),
        ("{shapes: [point], colors: [red], width: .nan}", "width of 'default' is nan"),
        ("{shapes: [point], colors: [red], width: {pont: 2}}", "'pont' · did you mean 'point'?"),
        (
            "{shapes: [point], colors: [red], widht: 2}",
            "unknown key 'widht' · did you mean 'width'",
        ),
        ("{shapes: [point], colors: [red], inline: true}", "unknown key 'inline'"),
        ("{shapes: [point], colors: [red], name: other}", "unknown key 'name'"),
        ("{kind: nothing}", "kind = 'nothing' · expected"),
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


@pytest.mark.parametrize(("alpha", "read"), [("0", 0), ("255", 255), ("[0, 255]", (0, 255))])
def test_an_opacity_may_be_anything_from_0_to_255(tmp_path: Path, alpha: str, read: object) -> None:
    text = f"a: {{shapes: [point], colors: [red], alpha: {alpha}}}\n"
    assert load_styles((styles_file(tmp_path, text),))["a"].alpha == read


def test_an_alias_may_name_a_style_twice(tmp_path: Path) -> None:
    text = "a: &x {shapes: [point], colors: [red], width: 3}\nb: *x\n"
    styles = load_styles((styles_file(tmp_path, text),))
    assert styles["b"] == styles["a"].model_copy(update={"name": "b"})


def test_a_folder_without_a_styles_file_adds_nothing(tmp_path: Path) -> None:
    assert load_styles((tmp_path, TASKS)) == KNOWN


def test_a_file_that_was_changed_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "styles.yaml"
    path.write_text("mine: {title: t, shapes: [arrow], colors: [red]}\n")
    first = load_styles((tmp_path,))
    assert load_styles((tmp_path,)) == first
    path.write_text("mine: {title: t, shapes: [arrow], colors: [teal]}\n")
    with pytest.raises(TaskError, match="'teal' is unknown"):
        load_styles((tmp_path,))
    path.write_text("mine: {title: t, shapes: [arrow], colors: [lime]}\n")
    assert load_styles((tmp_path,))["mine"].colors == ("lime",)
    assert first["mine"].colors == ("red",)
