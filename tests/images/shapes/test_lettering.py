from pathlib import Path

import pytest

from vipbench.errors import TaskError
from vipbench.images.shapes import lettering
from vipbench.images.shapes.lettering import sans


def test_capitals_and_digits_are_equally_high() -> None:
    sizes = [sans(text, 20).size_wh for text in ("A", "B", "1", "7", "C")]
    assert len({height for _, height in sizes}) <= 2  # rounding of O and C
    assert sans("12", 20).size_wh[0] > sizes[2][0]


def test_what_reaches_below_the_line_makes_it_higher() -> None:
    assert sans("g", 40).size_wh[1] > sans("H", 40).size_wh[1] + 5


def test_no_ink_is_cut_off_beside_a_letter() -> None:
    hook, bar = sans("J", 100), sans("H", 100)  # the hook reaches beyond, to the left
    assert (hook.corner[0], bar.corner[0]) == (-6, 0)
    assert sum(sans("JH", 100).pixels) == pytest.approx(
        sum(hook.pixels) + sum(bar.pixels), rel=0.01
    )


def test_a_flat_letter_is_one_pixel_high() -> None:
    assert sans("_", 3).bitmap_wh[1] == 1


def test_letters_of_every_form_are_known() -> None:
    for text in ("TVWY", "vwy", "\u2588\u2580"):
        assert sans(text, 20).size_wh[0] > 10


def test_a_text_is_the_same_every_time() -> None:
    sans.cache_clear()
    first = sans("Å7", 25)
    sans.cache_clear()
    assert sans("Å7", 25) == first
    assert len(first.pixels) == first.bitmap_wh[0] * first.bitmap_wh[1]


@pytest.mark.parametrize("text", ["漢", "a\nb", "\x07"])
def test_letters_that_the_font_has_not_are_named(text: str) -> None:
    with pytest.raises(TaskError, match="font sans has no"):
        sans(text, 20)


def test_another_font_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lettering._font_file.cache_clear()
    monkeypatch.setattr(lettering, "FONT", tmp_path / "missing.ttf")
    with pytest.raises(TaskError, match=r"missing\.ttf: the font of tags cannot be read"):
        lettering._font_file()
    (tmp_path / "other.ttf").write_bytes(b"another font")
    monkeypatch.setattr(lettering, "FONT", tmp_path / "other.ttf")
    with pytest.raises(TaskError, match="expected 3fdf69cabf06…, as other letters"):
        lettering._font_file()
    lettering._font_file.cache_clear()
