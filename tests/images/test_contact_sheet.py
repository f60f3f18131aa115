from itertools import groupby

import numpy as np
import pytest
from PIL import Image, ImageColor, ImageFont

from vipbench.errors import VipbenchError
from vipbench.images.contact_sheet import (
    CELL,
    HANG,
    MARGIN,
    Cell,
    contact_sheet,
    half_blocks,
    scaled,
    side_by_side,
    wrapped,
)

SIDE = CELL - 2 * MARGIN
TEXT = "Which object is it?\nA. The object within the red rectangle\n\nB. " + "word " * 30


def checkerboard(side: int) -> Image.Image:
    odd = np.indices((side, side)).sum(axis=0) % 2
    return Image.fromarray(np.stack([255 * odd, 0 * odd, 255 - 255 * odd], axis=2).astype(np.uint8))


def test_small_pictures_grow_by_whole_factors_without_smoothing() -> None:
    grown = scaled(checkerboard(64), SIDE)
    assert grown.size == (320, 320)
    assert grown.resize((64, 64), Image.Resampling.NEAREST).tobytes() == checkerboard(64).tobytes()


@pytest.mark.parametrize("size", [(2000, 10), (10, 2000), (800, 600)])
def test_large_pictures_are_reduced_and_keep_their_shape(size: tuple[int, int]) -> None:
    reduced = scaled(Image.new("RGB", size), SIDE)
    assert max(reduced.size) == SIDE
    assert min(reduced.size) == max(1, round(min(size) * SIDE / max(size)))


def test_wrapping_keeps_every_character_and_every_line_break() -> None:
    font = ImageFont.load_default(13)
    lines = wrapped(TEXT, SIDE, font)
    rebuilt: list[str] = []
    for indent, line in lines:
        if indent:
            rebuilt[-1] += line
        else:
            rebuilt.append(line)
    assert "\n".join(rebuilt) == TEXT
    assert len(lines) > len(rebuilt)
    assert {indent for indent, _ in lines} == {0, HANG}
    assert all(font.getlength(line.rstrip()) + indent <= SIDE for indent, line in lines)


def test_a_word_without_spaces_is_broken_where_it_must() -> None:
    lines = wrapped("x" * 500, SIDE, ImageFont.load_default(13))
    assert "".join(line for _, line in lines) == "x" * 500
    assert len(lines) > 1


def test_a_sheet_has_a_row_for_every_so_many_columns() -> None:
    cells = [Cell(checkerboard(64), f"sample {i}", TEXT) for i in range(5)]
    one = contact_sheet(cells[:1])
    sheet = contact_sheet(cells, columns=2)
    assert one.width == CELL
    assert sheet.width == 2 * CELL
    assert sheet.height == 3 * one.height


def test_a_sheet_shows_pictures_and_text() -> None:
    sheet = contact_sheet([Cell(Image.new("RGB", (340, 340), "lime"), "title", "text")])
    inside = sheet.crop((MARGIN, MARGIN, MARGIN + SIDE, MARGIN + SIDE))
    assert inside.getcolors() == [(SIDE * SIDE, (0, 255, 0))]
    below = sheet.crop((0, MARGIN + SIDE, CELL, sheet.height))
    assert len(below.getcolors() or ()) > 2


def test_a_long_title_is_broken_and_stays_in_its_cell() -> None:
    cells = [Cell(Image.new("RGB", (340, 340), "lime"), title, "") for title in ("m " * 60, "m")]
    sheet = contact_sheet(cells)
    below = np.asarray(sheet.crop((0, MARGIN + SIDE, CELL, sheet.height)))
    assert (below[:, CELL - MARGIN :] == 255).all()
    assert sheet.height > contact_sheet(cells[1:]).height


COLORS = ("lime", "red", "blue", "fuchsia", "gold", "aqua")


def solid(n: int, size: tuple[int, int] = (340, 340)) -> list[Image.Image]:
    return [Image.new("RGB", size, color) for color in COLORS[:n]]


def places(sheet: Image.Image, n: int) -> list[tuple[int, int, int, int]]:
    """Return the box of each of the COLORS, which are nowhere else."""
    pixels = np.asarray(sheet)
    boxes = []
    for color in COLORS[:n]:
        rows, columns = np.nonzero((pixels == ImageColor.getrgb(color)).all(2))
        boxes.append((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    return boxes


def test_images_of_a_question_stand_side_by_side_under_their_labels() -> None:
    first, second = solid(2)
    sheet = contact_sheet([Cell(first, "title", TEXT, (second,)), Cell(first, "title", TEXT)])
    assert sheet.width == 4 * CELL
    assert [left for left, *_ in places(sheet, 2)] == [MARGIN, CELL + MARGIN]
    [(_, top, _, below), second_box] = places(sheet.crop((0, 0, 2 * CELL, sheet.height)), 2)
    assert second_box == (CELL + MARGIN, top, CELL + MARGIN + SIDE, below)
    assert below - top == SIDE
    for left in (MARGIN, CELL + MARGIN):
        label = np.asarray(sheet.crop((left, 0, left + SIDE, top)))
        assert (label != 255).any()
    assert contact_sheet([Cell(first, "", "", (second,))] * 3).width == 4 * CELL
    assert contact_sheet([Cell(first, "", "", (second, first))] * 3).width == 3 * CELL
    assert contact_sheet([Cell(first, "", "", (second,))] * 3, columns=3).width == 6 * CELL


def test_after_four_images_a_new_row_begins() -> None:
    boxes = places(side_by_side(solid(6, (60, 30))), 6)
    assert [(right - left, below - top) for left, top, right, below in boxes] == [(60, 30)] * 6
    assert len({top for _, top, _, _ in boxes[:4]}) == 1
    assert [left for left, *_ in boxes[4:]] == [left for left, *_ in boxes[:2]]
    assert boxes[4][1] > boxes[0][3] + MARGIN


def test_pictures_are_as_they_are_beside_each_other_unless_the_sheet_would_be_too_large(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [alone] = solid(1)
    assert side_by_side([alone]) is alone
    small, large = checkerboard(9), Image.new("RGB", (300, 100))
    sheet = side_by_side([small, large])
    left = sheet.width - 300
    assert sheet.crop((0, sheet.height - 100, 9, sheet.height - 91)).tobytes() == small.tobytes()
    assert sheet.crop((left, sheet.height - 100, sheet.width, sheet.height)).getcolors() == [
        (300 * 100, (0, 0, 0))
    ]
    monkeypatch.setattr("vipbench.images.contact_sheet.MAX_SIDE", 400)
    assert max(side_by_side([small, large]).size) <= 400


def test_a_sheet_that_no_viewer_opens_is_refused() -> None:
    cells = [Cell(Image.new("RGB", (8, 8)), "", "line\n" * 200)] * 40
    with pytest.raises(VipbenchError, match="fewer with --n"):
        contact_sheet(cells, columns=1)


def test_half_blocks_have_two_pixels_a_character() -> None:
    image = Image.new("RGB", (4, 4), (1, 2, 3))
    image.paste((4, 5, 6), (0, 1, 4, 2))
    first, second = half_blocks(image, 80).split("\n")
    assert first.count("▀") == second.count("▀") == 4
    runs = [key for key, _ in groupby(first.removesuffix("\x1b[0m").split("▀")[:-1])]
    assert runs == ["\x1b[38;2;1;2;3;48;2;4;5;6m"]
    assert half_blocks(image, 2).count("▀") == 2
