import pytest

from vipbench.analysis.looks import level


def test_the_levels_of_all_looks_add_up() -> None:
    assert level(0.05, 1) == 0.025
    assert sum(level(0.05, look) for look in range(1, 100_000)) == pytest.approx(0.05, abs=1e-6)
