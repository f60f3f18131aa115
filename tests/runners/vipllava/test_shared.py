"""What rows of a batch have in common, on made-up rows."""

import numpy as np

from tests.models import SPECIALS, build_model
from vipbench.runners.vipllava.model_sizes import sizes_of
from vipbench.runners.vipllava.shared import (
    Piece,
    count_readings,
    find_tree,
    number_pictures,
)
from vipbench.runners.vipllava.tokens import Row

IMAGE = SPECIALS.index("<image>")
BEGIN = [1, *[IMAGE] * 16]


def row(*rest: int, picture: int | None = 0, begin: list[int] = BEGIN) -> Row:
    return Row([*begin, *rest], 2, 0, 0, picture=picture)


def test_equal_pixels_have_one_number() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    assert number_pictures([image, image + 1, image, image.copy()]) == [0, 1, 0, 0]


def test_rows_become_a_tree() -> None:
    question = list(range(20, 30))
    rows = [row(*question, 50), row(*question, 51, 52), row(60, 61), row(70, picture=1)]
    tree = find_tree(rows, IMAGE)
    assert tree is not None
    assert tree.pieces == [
        Piece(0, 0, 17, None),
        Piece(0, 17, 27, 0),
        Piece(0, 27, 28, 1),
        Piece(1, 27, 29, 1),
        Piece(2, 17, 19, 0),
        Piece(3, 0, 18, None),
    ]
    assert tree.last == [2, 3, 4, 5]
    assert tree.path(3) == [0, 1, 3]
    assert tree.n_tokens == 17 + 10 + 1 + 2 + 2 + 18


def test_each_row_has_a_last_token_of_its_own() -> None:
    tree = find_tree([row(20, 21), row(20, 21), row(20, 21, 22)], IMAGE)
    assert tree is not None
    assert len(set(tree.last)) == 3
    ends = {(tree.pieces[number].begin, tree.pieces[number].end) for number in tree.last}
    assert ends == {(18, 19), (18, 20)}


def test_what_comes_before_the_picture_has_to_be_the_same() -> None:
    other = [2, *[IMAGE] * 16]
    assert find_tree([row(20, 21), row(20, 22, begin=other)], IMAGE) is None


def test_nothing_is_shared_where_pictures_differ_or_are_not_known() -> None:
    assert find_tree([row(20), row(20, picture=1)], IMAGE) is None
    assert find_tree([row(20, picture=None), row(20, picture=None)], IMAGE) is None


def test_what_is_read_is_counted() -> None:
    sizes = sizes_of(build_model().config)
    rows = [row(20, 21), row(20, 22), row(20, picture=1)]
    tree = find_tree(rows, IMAGE)
    readings = count_readings(rows, tree, sizes)
    alone, shared = readings.asked, readings.read
    assert (alone.tokens, alone.images) == (19 + 19 + 18, 3)
    assert (shared.tokens, shared.images) == (18 + 1 + 1 + 18, 2)
    assert 0.4 < shared.operations / alone.operations < 0.8
    nothing = count_readings(rows[1:], None, sizes)
    assert nothing.read == nothing.asked
