import random

from vipbench.images import geometry
from vipbench.schema import Polygon

SQUARE: Polygon = ((0, 0), (10, 0), (10, 10), (0, 10))


def test_contains_square() -> None:
    assert geometry.contains(SQUARE, 5, 5)
    assert geometry.contains(SQUARE, 0.01, 9.99)
    for x, y in [(-0.01, 5), (10.01, 5), (5, -0.01), (5, 10.01), (-5, 0), (15, 10)]:
        assert not geometry.contains(SQUARE, x, y)


def test_of_a_square_the_left_edge_is_inside_and_the_right_one_is_not() -> None:
    assert geometry.contains(SQUARE, 0, 5)
    assert not geometry.contains(SQUARE, 10, 5)


def test_contains_knows_notches_and_vertices_at_the_same_height() -> None:
    notched: Polygon = ((0, 0), (5, 5), (10, 0), (10, 10), (0, 10))
    assert not geometry.contains(notched, 5, 4)
    assert geometry.contains(notched, 5, 6)
    # The ray through (5, 5) meets a vertex.
    assert geometry.contains(notched, 1, 5)
    assert geometry.contains(notched, 9, 5)


def test_contains_is_even_odd() -> None:
    # A pentagram covers its middle twice.
    star: Polygon = ((50, 0), (79, 90), (3, 35), (97, 35), (21, 90))
    assert not geometry.contains(star, 50, 50)
    assert geometry.contains(star, 50, 15)


def test_contains_agrees_with_the_sides_of_a_triangle() -> None:
    rng = random.Random(0)
    inside = 0
    for _ in range(2000):
        a, b, c, (x, y) = ((rng.uniform(0, 9), rng.uniform(0, 9)) for _ in range(4))
        turns = [
            (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) > 0
            for p, q in ((a, b), (b, c), (c, a))
        ]
        expected = all(turns) or not any(turns)
        inside += expected
        assert geometry.contains((a, b, c), x, y) is expected
    assert 100 < inside < 500


def test_a_flat_polygon_contains_nothing() -> None:
    assert not geometry.contains(((0, 0), (10, 10), (5, 5)), 5, 4.9)
    assert not geometry.contains(((3, 3), (3, 3), (3, 3)), 3, 3)
    assert not geometry.contains(((0, 3), (9, 3), (4, 3)), 5, 3)


def test_bounds_and_center() -> None:
    polygons: list[Polygon] = [((1, 2), (3, 2), (3, 9)), ((-4, 5), (0, 5), (0, 6.5))]
    assert geometry.bounds(polygons) == (-4, 2, 3, 9)
    assert geometry.box_center((-4, 2, 3, 9)) == (-0.5, 5.5)
    assert geometry.bounds([geometry.box_corners((1, 2, 3, 4))]) == (1, 2, 3, 4)
    assert geometry.contains(geometry.box_corners((1, 2, 3, 4)), 2, 3)


def test_boxes_against_the_image() -> None:
    size = (640, 480)
    cases = [
        ((0, 0, 640, 480), True, True),
        ((-1, 0, 640, 480), True, False),
        ((600, 400, 641, 480), True, False),
        ((600, 400, 640, 480.5), True, False),
        ((5, 5, 5, 5), True, True),
        ((-9, -9, 0, 0), True, False),
        ((-9, -9, -1, 9), False, False),
        ((0, 480, 9, 490), False, False),
        ((640, 0, 700, 9), False, False),
        ((-100, -100, 900, 900), True, False),
    ]
    for box, meets, inside in cases:
        assert geometry.intersects_image(box, size) is meets, box
        assert geometry.inside_image(box, size) is inside, box


def test_inverted() -> None:
    assert geometry.is_inverted((5, 0, 4, 9))
    assert geometry.is_inverted((0, 9, 4, 8))
    assert not geometry.is_inverted((5, 5, 5, 5))


def test_a_box_to_the_right_of_an_image_or_below_it_misses_it() -> None:
    for box in ((60.0, 5.0, 70.0, 9.0), (50.0, 5.0, 70.0, 9.0), (5.0, 41.0, 9.0, 44.0)):
        assert not geometry.intersects_image(box, (50, 40)), box
