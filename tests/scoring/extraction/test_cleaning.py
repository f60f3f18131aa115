import pytest

from vipbench.scoring.extraction.cleaning import LONGEST, clean


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("<think>a", ""),
        ("b <think>a</think> c", "b c"),
        ("[THINK]a[/THINK]b", "b"),
        ("\u25c1think\u25b7a\u25c1/think\u25b7b", "b"),
        ("<|channel|>analysis<|message|>a<|end|><|channel|>final<|message|>b", "b"),
        ("<|channel|>analysis<|message|>a", ""),
        ("<answer>a</answer> or <answer>b</answer>", "b"),
        ("x <answer>b", "b"),
        ("<s> A</s>", "A"),
        ("**a** `b` ~~c~~", "a b c"),
        ("- a\n# b", "a\nb"),
        ("\\boxed{\\text{B}}", "The answer is: B"),
        ("\\boxed{B", "\\boxed{B"),
        ("\u201cB\u201d \u2019", '"B" \''),
        ("<b>B</b><br>", "B"),
        ("a\u00a0  b", "a b"),
    ],
)
def test_what_is_said_is_left(text: str, plain: str) -> None:
    assert clean(text) == plain


def test_of_a_long_text_start_and_end_are_left() -> None:
    plain = clean("first " + "x" * 3 * LONGEST + " last")
    assert (plain[:5], plain[-4:], len(plain)) == ("first", "last", LONGEST + 1)
