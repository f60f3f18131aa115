"""What the numbers of style `coordinates` are counted in."""

from pathlib import Path

import pytest

from tests.prompts.made import KNOWN, pair, sample, style, text
from vipbench.digests import facts
from vipbench.errors import DataError, TaskError
from vipbench.prompts.coordinates import box_text
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.styles import load_styles
from vipbench.schema import BoxUnits, Fit, Region

BOX = (10.4, 5.0, 30.6, 25.5)


@pytest.mark.parametrize(
    ("units", "fit", "expected"),
    [
        ("fractions", "squash", "[0.104, 0.100, 0.306, 0.510]"),
        ("fractions", "pad", "[0.104, 0.300, 0.306, 0.505]"),
        ("thousandths", "squash", "[104, 100, 306, 510]"),
        ("thousandths", "pad", "[104, 300, 306, 505]"),
        ("thousandths", "crop", "[-292, 100, 112, 510]"),
        ("pixels", "pad", "[10, 5, 31, 26]"),
        ("pixels", "crop", "[10, 5, 31, 26]"),
        ("xywh", "pad", "[10, 5, 20, 20]"),
    ],
)
def test_a_box_in_each_unit(units: BoxUnits, fit: Fit, expected: str) -> None:
    assert box_text(BOX, (100, 50), units, fit) == expected


def test_whole_numbers_have_no_negative_zero() -> None:
    assert box_text((-0.01, -0.2, 0, 50), (100, 50), "thousandths", "squash") == "[0, -4, 0, 1000]"
    assert box_text((-0.01, -0.2, 0, 50), (100, 50), "pixels", "squash") == "[0, 0, 0, 50]"


def test_styles_with_units_are_written_in_line_and_as_products() -> None:
    of = sample("Is <r0> it?", regions=(Region(box=BOX, label="dog"),))
    ending = "\nAnswer the question using a single word or phrase."
    said = "Is the dog at [104, 300, 306, 505] it?" + ending
    assert text(of, "coordinates:1000") == text(of, "coordinates:thousandths") == said
    assert text(of, "coordinates:xywh") == "Is the dog at [10, 5, 20, 20] it?" + ending
    assert text(of, "coordinates:fractions") == text(of, "coordinates")
    styles = parse_styles("coordinates x 1000,pixels, xywh", KNOWN)
    assert [(each.name, each.kind, each.units) for each in styles] == [
        ("coordinates:1000", "coordinates", "thousandths"),
        ("coordinates:pixels", "coordinates", "pixels"),
        ("coordinates:xywh", "coordinates", "xywh"),
    ]


def test_of_several_images_the_text_says_which_and_numbers_are_in_its_frame() -> None:
    of = pair(1, 0, question="Is <r0> <r1>?")
    where = [text(of, f"coordinates:{units}").partition("?")[0] for units in ("pixels", "1000")]
    assert where == [
        "Is the thing 0 at [0, 5, 8, 20] in image 2 the thing 1 at [10, 5, 18, 20] in image 1",
        "Is the thing 0 at [250, 62, 350, 250] in image 2 the thing 1 at [100, 300, 180, 450] in"
        " image 1",
    ]
    bare = of.regions[0].model_copy(update={"label": ""})
    shown = text(of.model_copy(update={"regions": (bare, of.regions[1])}), "coordinates:pixels")
    assert shown.startswith("Is at [0, 5, 8, 20] in image 2 the thing 1")
    unknown = of.model_copy(update={"image_size": None, "image_sizes": ()})
    with pytest.raises(DataError, match="the image's size is unknown"):
        text(unknown, "coordinates")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("coordinates:pixel", "not 'pixel' · did you mean 'pixels'"),
        ("coordinates:red", "not 'red' · known: 1000, fractions, pixels, thousandths, xywh"),
        ("coordinates:1000:pixels", "not '1000:pixels'"),
        ("coordinates:", "units behind coordinates, not ''"),
    ],
)
def test_other_units_are_refused(expression: str, said: str) -> None:
    with pytest.raises(TaskError, match=said):
        parse_styles(expression, KNOWN)


def test_units_in_a_styles_file(tmp_path: Path) -> None:
    path = tmp_path / "styles.yaml"
    path.write_text("mine: {kind: coordinates, units: xywh}", encoding="utf-8")
    assert load_styles((tmp_path,))["mine"].units == "xywh"
    path.write_text("mine: {kind: none, units: xywh}", encoding="utf-8")
    with pytest.raises(TaskError, match="units 'xywh' belong to kind 'coordinates', not to 'none'"):
        load_styles((tmp_path,))
    path.write_text("mine: {kind: coordinates, units: inches}", encoding="utf-8")
    with pytest.raises(TaskError, match="units"):
        load_styles((tmp_path,))


def test_fractions_are_in_no_digest() -> None:
    assert "units" not in facts(style("coordinates"))
    assert facts(style("coordinates:xywh"))["units"] == "xywh"
