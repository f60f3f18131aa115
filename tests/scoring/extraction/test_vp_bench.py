import pytest

from vipbench.scoring.extraction import vp_bench


@pytest.mark.parametrize(("text", "answer"), vp_bench.EXAMPLES)
def test_examples(text: str, answer: str | None) -> None:
    assert vp_bench.extract(text, dict.fromkeys("ABCD", "")) == answer
