import pytest

from vipbench.scoring.extraction import exact


@pytest.mark.parametrize(("text", "answer"), exact.EXAMPLES)
def test_examples(text: str, answer: str | None) -> None:
    assert exact.extract(text, dict.fromkeys("ABCD", "")) == answer
