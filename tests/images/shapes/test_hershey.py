import pytest

from vipbench.errors import TaskError
from vipbench.images.shapes.hershey import LETTERS, text_runs, text_size
from vipbench.images.shapes.raster import bitmap

SIZES = {
    "A": [(5, 5), (10, 12), (19, 22)],
    "B": [(5, 5), (12, 12), (22, 22)],
    "REF": [(13, 5), (30, 12), (59, 22)],
    "4": [(5, 5), (11, 12), (21, 22)],
}
"""At scales 0.2, 0.5 and 1 by OpenCV 4.12's getTextSize."""


@pytest.mark.parametrize("text", SIZES)
def test_sizes_are_those_of_opencv(text: str) -> None:
    assert [text_size(text, scale) for scale in (0.2, 0.5, 1.0)] == SIZES[text]


def test_a_letter_is_as_opencv_writes_it() -> None:
    [letter] = bitmap(text_runs("A", 0.5, (50, 80), (200, 120)), (200, 120))
    assert letter.corner == (51, 70)
    width, height = letter.size_wh
    rows = [letter.pixels[i * width : (i + 1) * width] for i in range(height)]
    assert "\n".join("".join(".#"[bool(pixel)] for pixel in row) for row in rows) == (
        "....#....\n...##....\n...##....\n..#..#...\n..#..#...\n..#..#...\n"
        ".#....#..\n.######..\n#......#.\n#......#.\n#......##"
    )


def test_capitals_and_digits_are_known_and_others_are_named() -> None:
    assert "".join(LETTERS) == "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    with pytest.raises(TaskError, match="tag 'Aa': font hershey has no 'a' · expected capitals"):
        text_size("Aa", 0.5)
