import pytest

from vipbench.images.servers import RULES, edge, low, tiles


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((400, 300), (1, 1, 1)),
        ((1024, 512), (0.5, 1, 1)),
        ((1024, 1024), (0.5, 0.75, 1)),
        ((2048, 4096), (0.125, 0.375, 0.37828)),
        ((1568, 784), (512 / 1568, 768 / 784, 0.98806)),
        ((3136, 200), (512 / 3136, 2048 / 3136, 0.5)),
    ],
)
def test_images_are_shrunk_and_never_enlarged(
    size: tuple[int, int], expected: tuple[float, float, float]
) -> None:
    found = [rule(size) for rule in (low, tiles, edge)]
    assert found == pytest.approx(expected, abs=1e-4)
    assert found == [rule((size[1], size[0])) for rule in (low, tiles, edge)]


def test_each_rule_says_where_it_stands_and_since_when() -> None:
    assert all(rule.source.partition("/")[0].count(".") == 2 for rule in RULES)
    assert all(len(rule.read) == 7 for rule in RULES)
