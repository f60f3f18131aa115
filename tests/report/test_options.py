"""The line that compares texts and likeliest option letters."""

from collections.abc import Sequence

from vipbench.report.options import OptionNote
from vipbench.schema import Kind, Request, Response, Rule, Trial
from vipbench.scoring.scorers import score_line


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


def test_texts_are_read_by_the_rule_of_the_task() -> None:
    told = Response(text="The answer is B.", option_logprobs=(-3.0, -1.0))
    refused = Response(text="I can't say.", state="refused", option_logprobs=(-3.0, -1.0))
    answered = [(trial("choice", "B"), told), (trial("choice", "B"), refused)]
    by_rule = [note(answered, rule) for rule in ("exact", "stated")]
    start = "options: text and likeliest letter agree in"
    end = "the letter is right in 100.0 %, the text in"
    margin = "median margin 2.00 nats"
    # What the model declined to give is not compared, as in the rows.
    assert by_rule == [
        f"{start} 0.0 % of 1 choices; {end} 0.0 %; {margin}",
        f"{start} 100.0 % of 1 choices; {end} 100.0 %; {margin}",
    ]


def note(answered: Sequence[tuple[Trial, Response | None]], rule: Rule = "exact") -> str | None:
    options = OptionNote()
    for trial, response in answered:
        options.add(trial, response, score_line(trial, response, rule=rule))
    return options.text()
