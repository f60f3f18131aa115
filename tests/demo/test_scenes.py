"""Scenes: figures where they are said to be, in the colours they are said to have."""

from random import Random

import pytest

from vipbench.demo.scenes import CELL, COLORS, FIGURES, SIDE, draw_scene, make_scene
from vipbench.images.geometry import bounds, contains
from vipbench.prompts import colors


@pytest.mark.parametrize("shape", FIGURES)
def test_each_figure_lies_in_its_cell_inside_its_box(shape: str) -> None:
    for seed in range(20):
        rng = Random(seed)
        figures = make_scene([(shape, color) for color in list(COLORS)[:4]], rng)
        assert len({figure.cell for figure in figures}) == 4
        for figure in figures:
            x0, y0, x1, y1 = figure.box
            left, top = CELL * (figure.cell % 2), CELL * (figure.cell // 2)
            assert left <= x0 < x1 <= left + CELL
            assert top <= y0 < y1 <= top + CELL
            px0, py0, px1, py1 = bounds([figure.polygon])
            assert x0 < px0 < px1 < x1
            assert y0 < py0 < py1 < y1


def test_a_figure_has_its_color_in_its_middle() -> None:
    rng = Random(0)
    figures = make_scene(list(zip(FIGURES, COLORS, strict=False))[:4], rng)
    image = draw_scene(figures, rng)
    assert image.size == (SIDE, SIDE)
    for figure in figures:
        x0, y0, x1, y1 = figure.box
        x, y = round((x0 + x1) / 2), round((y0 + y1) / 2)
        assert contains(figure.polygon, x, y)
        assert image.getpixel((x, y)) == COLORS[figure.color]


def test_figures_and_marks_have_no_color_in_common() -> None:
    assert not set(COLORS.values()) & set(colors.COLORS.values())
    assert not set(COLORS) & set(colors.COLORS)
