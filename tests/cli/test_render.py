"""`vipbench render` as a user meets it."""

from PIL import Image

from tests.cli.conftest import Vipbench


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
