"""What is kept of the distance of two options."""

import math

import pytest

from vipbench.runfolder.margin import is_at_an_edge, kept_margin


def test_two_decimals_are_kept() -> None:
    assert kept_margin((-1.5, -0.25, -1.0)) == 0.75
    assert kept_margin((-1.0, -1.514)) == 0.51
    assert kept_margin((-1.0, -math.inf)) is None


@pytest.mark.parametrize(
    ("logprobs", "at_an_edge"),
    [
        ((-1.0, -1.5), False),
        ((-1.0, -1.505), True),  # 0.5 or 0.51
        ((-1.0, -9.0, -1.50502), False),
        ((-1.0, -9.0, -1.50499), True),
        ((-1.0, -1.00001), True),  # either
        ((-1.0, -1.0), True),
        ((-1.0, -1.01), False),
        ((-1.0, -math.inf), False),
        ((-math.inf, -math.inf), False),
        ((-1.0,), False),
        ((), False),
    ],
)
def test_it_is_known_where_rounding_decides(logprobs: tuple[float, ...], at_an_edge: bool) -> None:
    assert is_at_an_edge(logprobs, 1.5e-5) is at_an_edge
