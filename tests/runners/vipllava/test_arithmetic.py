"""What reading is counted to take; `tests/bench/test_floor.py` holds it against torch's counter."""

from vipbench.bench.models import random_config
from vipbench.runners.vipllava import arithmetic
from vipbench.runners.vipllava.model_sizes import sizes_of


def test_a_prompt_is_its_beginning_and_what_its_last_token_adds() -> None:
    sizes = sizes_of(random_config("tiny"))
    pair = arithmetic.attention(sizes) // sizes.layers
    last = arithmetic.prompt(sizes, 100) - arithmetic.beginning(sizes, 100)
    unread = 2 * sizes.width * (2 * sizes.heads * sizes.head_width + 3 * sizes.mlp)
    assert last == unread + 100 * pair + arithmetic.vocabulary(sizes)


def test_beginnings_add_up_token_by_token() -> None:
    sizes = sizes_of(random_config("tiny"))
    steps = [arithmetic.beginning(sizes, n + 1) - arithmetic.beginning(sizes, n) for n in range(9)]
    assert sum(steps) == arithmetic.beginning(sizes, 9)
    assert sorted(steps) == steps
    assert len(set(steps)) == 9
