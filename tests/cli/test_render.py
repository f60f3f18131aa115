"""`vipbench render` as a user meets it."""

from pathlib import Path

from PIL import Image

from tests.cli.conftest import Vipbench
from tests.runs import make_pairs


def test_render_writes_a_sheet(vipbench: Vipbench, data: list[str]) -> None:
    styles = "rectangle,arrow x red,blue"
    command = ("render", "visual7w_pointing", "--style", styles, "--n", "2", "-o", "out/sheet.png")
    code, out, _ = vipbench(*command, *data)
    assert (code, out) == (0, "out/sheet.png\n")
    with Image.open("out/sheet.png") as sheet:
        assert sheet.format == "PNG"
        assert sheet.width == 4 * 360


def test_render_takes_ids_and_the_models_square(vipbench: Vipbench, data: list[str]) -> None:
    command = ("render", "vcr_qa", "--ids", "val-1", "--size", "32", "-o", "one.png")
    assert vipbench(*command, *data).code == 0
    with Image.open("one.png") as sheet:
        assert sheet.width == 360


def test_a_sheet_for_a_square_that_no_model_has_is_refused(
    vipbench: Vipbench, data: list[str]
) -> None:
    code, _, err = vipbench("render", "vcr_qa", "--size", "100000", "-o", "x.png", *data)
    assert code == 2
    assert "expected a whole number from 1 to 4096" in err


def test_each_image_of_a_question_is_drawn_with_its_marks(
    vipbench: Vipbench, tmp_path: Path
) -> None:
    own = ("own", "--include", make_pairs(tmp_path))
    assert vipbench("render", *own, "--n", "3", "--style", "demo", "-o", "sheet.png").code == 0
    assert vipbench("render", *own, "--n", "1", "--style", "none", "-o", "plain.png").code == 0
    with Image.open("sheet.png") as sheet, Image.open("plain.png") as plain:
        assert (sheet.width, plain.width) == (4 * 360, 2 * 360)
        for left in (10, 370):
            where = (left, 20, left + 190, 200)
            colors = [each.crop(where).getcolors(9999) or () for each in (sheet, plain)]
            assert len(colors[0]) > len(colors[1]) > 1
