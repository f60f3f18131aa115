import pytest

from vipbench.scoring.extraction import blink


@pytest.mark.parametrize(("text", "answer"), blink.EXAMPLES)
def test_examples(text: str, answer: str | None) -> None:
    assert blink.extract(text, dict.fromkeys("ABCD", "")) == answer
