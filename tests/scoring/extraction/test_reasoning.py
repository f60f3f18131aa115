import pytest

from vipbench.scoring.extraction.reasoning import last_spoken, spoken, unwrapped


@pytest.mark.parametrize(
    ("text", "parts", "last"),
    [
        ("B", ("B",), "B"),
        ("<think>a</think>B", ("", "B"), "B"),
        ("a</think>B", ("B",), "B"),
        ("A<think>b</think>C", ("A", "C"), None),
        ("<think>A", None, None),
        ("[THINK]a[/THINK] B <seed:think>c</seed:think> D", ("", " B ", " D"), " D"),
        (
            "<|channel|>analysis<|message|>A?<|end|><|channel|>final<|message|>B<|return|>",
            ("B",),
            "B",
        ),
        ("<|channel|>final<|constrain|>json<|message|>B", ("B",), "B"),
        ("<|channel|>analysis<|message|>A", None, None),
    ],
)
def test_what_is_said_beside_reasoning(
    text: str, parts: tuple[str, ...] | None, last: str | None
) -> None:
    assert spoken(text) == parts
    assert last_spoken(text) == last


@pytest.mark.parametrize(
    "text", ["B", " **B** ", '"B"', "```\nB\n```", "~~~text\n`B`\n~~~", "\ufeffB"]
)
def test_what_is_around_a_whole_text(text: str) -> None:
    assert unwrapped(text) == "B"
