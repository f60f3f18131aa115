import pytest

from vipbench.scoring.extraction import lmms_eval


@pytest.mark.parametrize(("text", "answer"), lmms_eval.EXAMPLES)
def test_examples(text: str, answer: str | None) -> None:
    assert lmms_eval.extract(text, dict.fromkeys("ABCD", "")) == answer
