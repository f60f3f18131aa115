"""What shapes draw by chance."""

from random import Random

from vipbench.images.shapes.draws import random_point

TRIANGLE = ((0.0, 0.0), (10.0, 0.0), (0.0, 10.0))
OUTSIDE, INSIDE = 9.0, 1.0


class Scripted(Random):
    """Draws points outside of the triangle, and then one inside."""

    def __init__(self, n_outside: int) -> None:
        super().__init__(0)
        self.drawn = 0
        self.n_outside = n_outside

    def uniform(self, a: float, b: float) -> float:
        self.drawn += 1
        return OUTSIDE if self.drawn <= 2 * self.n_outside else INSIDE


def test_the_fiftieth_point_may_be_the_first_inside() -> None:
    assert random_point((0, 0, 10, 10), [TRIANGLE], Scripted(49)) == (INSIDE, INSIDE)


def test_after_fifty_points_outside_any_is_taken() -> None:
    rng = Scripted(51)
    assert random_point((0, 0, 10, 10), [TRIANGLE], rng) == (OUTSIDE, OUTSIDE)
    assert rng.drawn == 2 * 51
