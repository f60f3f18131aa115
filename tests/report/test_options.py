"""The line that compares texts and likeliest option letters."""

from vipbench.report.options import OptionNote
from vipbench.schema import Kind, Request, Response, Trial


def trial(kind: Kind, target: str) -> Trial:
    request = Request(
        task="t",
        style="s",
        id="1",
        turns=("?",),
        image="a.png",
        fit="pad",
        max_new_tokens=8,
        options=("A", "B") if kind == "choice" else (),
        key="k",
    )
    return Trial(task="t", style="s", id="1", request=request, kind=kind, target=target, group="g")


def test_a_note_compares_texts_and_letters() -> None:
    asked = trial("choice", "B")
    answered: list[tuple[Trial, Response | None]] = [
        (asked, Response(text="B", option_logprobs=(-3.0, -1.0))),
        (asked, Response(text="A", option_logprobs=(-3.0, -1.0))),
        (asked, Response(text="A")),  # unknown: not counted
        (asked, Response(error="broken")),
        (trial("short_answer", "red"), Response(text="red")),
        (asked, None),
    ]
    assert note(answered) == (
        "options: text and likeliest letter agree in 50.0 % of 2 choices; the letter is right in "
        "100.0 %, the text in 50.0 %; median margin 2.00 nats"
    )
    assert note(answered[2:]) is None


def note(answered: list[tuple[Trial, Response | None]]) -> str | None:
    options = OptionNote()
    for trial, response in answered:
        options.add(trial, response)
    return options.text()
