import pytest

from vipbench.scoring.extraction.numbers import numbers, value


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("3", [3]),
        ("-5 and 3.5", [-5, 3.5]),
        ("1,000", [1000]),
        ("two thousand", [2000]),
        ("twenty-one", [21]),
        ("two hundred and five", [205]),
        ("two hundred or five", [200, 5]),
        ("two hundred, then five", [200, 5]),
        ("two hundred thousand and five", [200005]),
        ("2 thousand", [2000]),
        ("a dozen", [12]),
        ("two dozen", [24]),
        ("one, two and three", [1, 2, 3]),
        ("two three", [2, 3]),
        ("the one on the left, one of them, no one", []),
        ("someone, often, 2nd, v2", []),
        ("", []),
    ],
)
def test_numbers_of_a_sentence(text: str, values: list[float]) -> None:
    assert [number.value for number in numbers(text)] == values


def test_every_number_word() -> None:
    small = (
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
        "fifteen sixteen seventeen eighteen nineteen"
    )
    assert [value(word) for word in small.split()] == list(range(20))
    tens = "ten twenty thirty forty fifty sixty seventy eighty ninety"
    assert [value(word) for word in tens.split()] == list(range(10, 100, 10))
    scales = "dozen hundred thousand million"
    assert [value(word) for word in scales.split()] == [12, 100, 1000, 1_000_000]
    written = [f"{ten}-{unit}" for ten in tens.split()[1:] for unit in small.split()[1:10]]
    assert [value(word) for word in written] == [n for n in range(21, 100) if n % 10]


def test_the_value_of_a_whole_text() -> None:
    assert value("twenty-one") == 21
    assert value("two dogs") is None
    assert value("2 3") is None
