"""Scales of plots: what is on them, and round numbers at their ends."""

import pytest

from vipbench.html.scales import Scale, scale_around_zero, scale_of


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.71, 0.76, 0.74], (70, 80)),
        ([0.88, 0.97], (80, 100)),
        ([0.88, 0.955, 1.0], (80, 100)),
        ([0.97, 1.0], (90, 100)),
        ([0.0, 0.02], (0, 10)),
        ([0.5], (50, 60)),
        ([0.12, None, 0.55], (10, 60)),
        ([0.0, 1.0], (0, 100)),
        ([None], (0, 100)),
        ([0.04, 0.97], (0, 100)),
    ],
)  # fmt: skip
def test_a_scale_holds_what_is_drawn_and_little_more(
    values: list[float | None], expected: tuple[int, int]
) -> None:
    scale = scale_of(values)
    known = [value for value in values if value is not None]
    assert all(scale.holds(value) for value in known)
    assert scale == expected
    assert scale.middle * 2 == scale.low + scale.high


@pytest.mark.parametrize(
    ("values", "reach"), [([0.01, -0.03], 5), ([-0.12], 15), ([0.6], 75), ([-0.9], 100), ([], 5)]
)
def test_differences_have_zero_in_the_middle(values: list[float], reach: int) -> None:
    assert scale_around_zero(values) == (-reach, reach)
    assert scale_around_zero(values).middle == 0


def test_places_are_px_and_end_at_the_ends() -> None:
    scale = Scale(60, 80)
    assert [scale.x(value) for value in (0.6, 0.65, 0.7, 0.8)] == ["10.0", "60.0", "110.0", "210.0"]
    assert (scale.x(0.1), scale.x(0.95)) == ("10.0", "210.0")
    assert (scale.holds(0.59), scale.holds(0.6), scale.holds(None)) == (False, True, False)
