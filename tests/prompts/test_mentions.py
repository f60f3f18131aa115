from vipbench.prompts.mentions import FIELD, mentioning, mentions
from vipbench.schema import Sample


def test_mentions_come_in_the_order_of_the_texts() -> None:
    of = Sample(
        id="1", image="1.png", question="<r2> and <r0>", given_answer="<r1>",
        choices=("<r3>", "no <r10>"), target="A", group="1",
    )  # fmt: skip
    assert list(mentions(of)) == [2, 0, 1, 3, 10]


def test_the_texts_come_in_reading_order() -> None:
    of = Sample(
        id="1", image="1.png", question="q", given_answer="g", given_choices=("a", "b"),
        choices=("c", "d"), target="A", group="1",
    )  # fmt: skip
    assert mentioning(of) == ("q", "a", "b", "g", "c", "d")


def test_fields_of_a_template() -> None:
    assert FIELD.findall("{question} {mark}, {not a field} <r0>") == ["question", "mark"]
