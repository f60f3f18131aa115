import pytest
from PIL.ImageColor import getrgb

from vipbench.errors import TaskError
from vipbench.images.shapes.settings import (
    LineSettings,
    MarkerSettings,
    ShaftSettings,
    TagSettings,
    pixels,
    settings_of,
)
from vipbench.prompts.colors import COLORS
from vipbench.schema import Record, Region, Setting, VisualPrompt


def mark(**settings: Setting) -> VisualPrompt:
    return VisualPrompt(
        region=Region(box=(1, 1, 1, 1)),
        shape="it",
        color=(1, 2, 3),
        alpha=255,
        width=None,
        seed=0,
        settings=settings,
    )


def test_what_is_not_said_has_its_default() -> None:
    assert settings_of(mark(kind="star"), MarkerSettings) == MarkerSettings(kind="star")
    assert settings_of(mark(), LineSettings).line == "solid"


@pytest.mark.parametrize("kind", [ShaftSettings, LineSettings, MarkerSettings, TagSettings])
def test_a_default_is_in_its_range(kind: type[Record]) -> None:
    usual = kind()
    assert kind.model_validate(usual.model_dump()) == usual


def test_lengths_and_shifts_go_up_to_ten_thousand() -> None:
    widest = TagSettings(offset=(10_000, -10_000), padding=(10_000, 0, 0, 0), radius=10_000)
    assert settings_of(mark(**widest.model_dump(exclude_defaults=True)), TagSettings) == widest
    for beyond in ({"offset": (0, 10_001)}, {"offset": (-10_001, 0)}, {"radius": 10_001}):
        with pytest.raises(TaskError, match=r"10,?00"):
            settings_of(mark(**beyond), TagSettings)


@pytest.mark.parametrize(
    ("kind", "settings", "said"),
    [
        (MarkerSettings, {"kind": "sqare"}, "kind = 'sqare' · expected 'circle', 'dot'"),
        (MarkerSettings, {"kind": "cross", "thickness": 0}, "but a cross has no area"),
        (MarkerSettings, {"radius": 0}, "radius = 0 · expected a number above 0"),
        (MarkerSettings, {"colour": "red"}, "unknown key 'colour' · known: anchor, kind"),
        (TagSettings, {"ink": "wite"}, "ink = 'wite' should be a color · did you mean 'white'"),
        (TagSettings, {"offset": (1.0,)}, "offset = (1.0,) · expected 2 or more entries"),
        (
            TagSettings,
            {"padding": (1.0, 2.0, 3.0, -4.0)},
            "padding.3 = -4.0 · expected a number from 0",
        ),
        (LineSettings, {"line": "dotted"}, "line = 'dotted' · expected 'solid', 'dashed' or"),
    ],
)
def test_mistakes_are_named(kind: type[Record], settings: dict[str, Setting], said: str) -> None:
    with pytest.raises(TaskError) as caught:
        settings_of(mark(**settings), kind)
    assert str(caught.value).startswith("shape 'it': ")
    assert said in str(caught.value)


def test_a_color_is_kept_as_numbers() -> None:
    assert TagSettings(ink="White", box_color="#FF00aa").ink == "#ffffff"
    assert TagSettings(box_color="#FF00aa").box_color == "#ff00aa"
    for name, rgb in COLORS.items():  # the names are those of CSS, too
        assert getrgb(name) == rgb


def test_lengths_grow_with_the_image_unless_they_are_px() -> None:
    assert pixels(5, "relative", (672, 100)) == 10
    assert pixels(5.9, "px", (672, 100)) == 5
    assert pixels(-1.5, "relative", (100, 336)) == -1


@pytest.mark.parametrize("size", [0, -1, 1001])
def test_a_tag_has_a_size(size: float) -> None:
    with pytest.raises(TaskError, match="size"):
        settings_of(mark(size=size), TagSettings)


def test_a_radius_has_a_limit() -> None:
    assert settings_of(mark(radius=10_000), MarkerSettings).radius == 10_000
    with pytest.raises(TaskError, match="radius"):
        settings_of(mark(radius=10_001), MarkerSettings)


def test_there_are_ten_outlines_at_most() -> None:
    assert settings_of(mark(nested=10), LineSettings).nested == 10
    with pytest.raises(TaskError, match="nested"):
        settings_of(mark(nested=11), LineSettings)
