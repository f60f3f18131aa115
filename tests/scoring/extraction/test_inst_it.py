import pytest

from vipbench.scoring.extraction import inst_it


@pytest.mark.parametrize(("text", "answer"), inst_it.EXAMPLES)
def test_examples(text: str, answer: str | None) -> None:
    assert inst_it.extract(text, dict.fromkeys("ABCD", "")) == answer
