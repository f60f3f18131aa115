"""Which shapes there are, and those of other packages."""

from collections.abc import Iterator
from importlib.metadata import EntryPoint

import pytest

from vipbench.errors import TaskError
from vipbench.images.draw import footprint
from vipbench.images.shapes import registry
from vipbench.images.shapes.registry import BUILT_IN, find_shape, shape_names
from vipbench.images.shapes.spec import ShapeSpec
from vipbench.images.shapes.strokes import Rectangle
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.words import WORDS, words_of
from vipbench.schema import Region, ShapeWords, VisualPrompt

CORNER = ShapeSpec(
    lambda region, mark, size_wh: [Rectangle((0, 0, 9, 9), 1)],
    ShapeWords("beside", "corner"),
)
WORDLESS = ShapeSpec(lambda region, mark, size_wh: [])
NONE = "nothing of the kind"


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """What other packages have installed: name -> path; filled in by the test."""
    installed: dict[str, str] = {}

    def points(group: str) -> list[EntryPoint]:
        assert group == "vipbench.shapes"
        return [EntryPoint(name, path, group) for name, path in installed.items()]

    def forget() -> None:
        registry.list_plugins.cache_clear()
        find_shape.cache_clear()

    monkeypatch.setattr(registry, "entry_points", points)
    forget()
    yield installed
    forget()


def prompt(shape: str) -> VisualPrompt:
    region = Region(box=(10, 10, 30, 30))
    return VisualPrompt(region=region, shape=shape, color=(255, 0, 0), alpha=255, width=1, seed=0)


def test_built_in_shapes_are_found_and_have_words() -> None:
    assert all(isinstance(find_shape(name), ShapeSpec) for name in BUILT_IN)
    assert set(WORDS) == set(BUILT_IN)


def test_a_shape_of_another_package_is_drawn_and_named(plugins: dict[str, str]) -> None:
    plugins["corner"] = f"{__name__}:CORNER"
    assert shape_names() == (*BUILT_IN, "corner")
    [style] = parse_styles("corner:red", {})
    assert style.shapes == ("corner",)
    assert words_of("corner").noun == "corner"
    mark = footprint((50, 50), prompt("corner"))
    assert mark is not None
    assert mark.box == (0, 0, 10, 10)


def test_without_words_a_shape_is_called_by_its_name(plugins: dict[str, str]) -> None:
    plugins["halo"] = f"{__name__}:WORDLESS"
    assert words_of("halo") == ShapeWords("with", "halo")
    assert footprint((50, 50), prompt("halo")) is None


def test_a_built_in_shape_cannot_be_replaced(plugins: dict[str, str]) -> None:
    plugins["point"] = f"{__name__}:CORNER"
    assert shape_names() == tuple(BUILT_IN)
    assert find_shape("point") is not CORNER


@pytest.mark.parametrize(
    ("name", "path", "said"),
    [
        ("corner", "no_such_package:X", "shape 'corner': no_such_package:X cannot be imported"),
        ("corner", f"{__name__}:MISSING", "cannot be imported (module"),
        ("corner", f"{__name__}:NONE", "is a str · expected a vipbench.images.shapes.spec"),
        ("Corner:1", f"{__name__}:CORNER", "its name cannot be written in a style · expected"),
    ],
)
def test_broken_plugins_are_named(plugins: dict[str, str], name: str, path: str, said: str) -> None:
    plugins[name] = path
    with pytest.raises(TaskError) as caught:
        find_shape(name)
    assert said in str(caught.value)


def test_an_unknown_shape_is_named() -> None:
    with pytest.raises(TaskError, match="shape 'elipse' is unknown · did you mean 'ellipse'"):
        find_shape("elipse")
