"""What looks wrong in texts as they are sent, and that the texts of the benchmarks do not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.tasks import all_styles, load_task
from vipbench.demo.embedded import sources
from vipbench.demo.generate import make
from vipbench.prompts.expressions import parse_styles
from vipbench.prompts.request import build_request
from vipbench.schema import DataSource, Kind, Problem, PromptStyle, Region, Sample, TaskSpec
from vipbench.trials.texts import TextWarnings

DATA = Path(__file__).parent.parent / "data"
BENCHMARKS = {
    "visual7w_pointing": ("", "v7w-test.json"),
    "pointqa_looktwice": ("", "pointQA_twice_test.json"),
    "pointqa_looktwice_object": ("",),
    "pointqa_local": ("",),
    "vcr_qa": ("", "vcr-val.json"),
    "vcr_qar": ("", "vcr-val.json"),
    "vcr_qar_turns": ("", "vcr-val.json"),
    "vip_bench_bbox": ("",),
    "vip_bench_human": ("",),
    "vip_bench_drawn": ("",),
}
"""Task -> its question files in the folder of its data; empty: the folder."""
OTHERS = ("demo", "official_training", "wrong", "permuted")
"""Styles that are tried beside those of a task that has any but `given`."""


def style(text: str) -> PromptStyle:
    known = all_styles()
    [parsed] = parse_styles(text, known, known["official_rectangles"])
    return parsed


def warnings(
    question: str,
    style_name: str = "official_rectangles",
    *,
    choices: tuple[str, ...] = (),
    n: int = 1,
    label: str = "object",
    target: str = "red",
    template: str = "",
    kind: Kind = "short_answer",
) -> list[Problem]:
    """Ask a question about n regions, and return what is found in its texts."""
    kind = "choice" if choices else kind
    spec = TaskSpec(name="t", version=1, title="", kind=kind, data="t", template=template)
    sample = Sample(
        id="1",
        image="a.png",
        question=question,
        choices=choices,
        target="A" if choices else target,
        regions=tuple(Region(box=(5 + k, 5, 30, 30), label=label) for k in range(n)),
        group="a",
        image_size=(60, 40),
        task=spec,
    )
    asked = style(style_name)
    return TextWarnings().add(sample, asked, build_request(sample, asked, seed=0))


def codes(question: str, style_name: str = "official_rectangles", **others: object) -> set[str]:
    found = warnings(question, style_name, **others)  # type: ignore[arg-type]
    assert all(problem.warning for problem in found)
    return {problem.code for problem in found}


def of_benchmarks(folder: Path) -> Iterator[tuple[str, DataSource]]:
    for name, files in BENCHMARKS.items():
        key = str(load_task(name).data)
        yield name, sources(folder)[key]
        for file in files:
            yield name, DataSource(DATA / key / file, DATA / key)


def test_benchmarks_and_demo_data_raise_nothing_under_any_style(tmp_path: Path) -> None:
    found, n = [], 0
    for name, source in of_benchmarks(make(tmp_path / "made", 24)):
        spec = load_task(name)
        others = () if spec.styles[0] == "given" else OTHERS
        styles = [style(name) for name in (*spec.styles, *others)]
        for record in load_samples(spec, source):
            sample = inspect_image(record, source)[0] if isinstance(record, Sample) else None
            if sample is None:
                continue
            for asked in styles:
                n += 1
                request = build_request(sample, asked, seed=n)
                found += TextWarnings().add(sample, asked, request)
    assert found == []
    assert n > 1000


# --- placeholders


@pytest.mark.parametrize("word", ["<obj>", "<region1>", "[0]", "<R0>", "<|box_start|>"])
def test_a_foreign_placeholder_is_shown_with_the_text_as_sent(word: str) -> None:
    foreign, unmentioned = warnings(f"What is {word}?")
    assert (foreign.code, unmentioned.code) == ("foreign_placeholder", "mark_not_mentioned")
    assert foreign.message == (
        f"style official_rectangles: '{word}': a placeholder of another format, which is not "
        f"replaced · write <r0>, <r1>, … for a region · sent as 'What is {word}?\\nAnswer the "
        "question using a single word or phrase.'"
    )


def test_placeholders_are_found_in_every_text_that_is_used() -> None:
    assert codes("<r0>?", choices=("yes", "<obj>")) == {"foreign_placeholder"}
    assert codes("<r0>?", label="<obj>") == {"foreign_placeholder"}
    assert codes("<r0>?", template="<image>\n{question}") == {"foreign_placeholder"}
    assert codes("<r0>?", target="<obj>") == {"foreign_placeholder"}
    assert codes("<r0>?", target="a<OR>b<AND>c", kind="graded") == set()
    assert codes("Which?", "given", n=0, template="{question}", target="<r0>") == {
        "foreign_placeholder"
    }


# --- the right answer


@pytest.mark.parametrize(
    "target",
    ["cat\u00a0dog", "\uff12", "cafe\u0301", "\u200bcat", "\ufb01sh", "two\tcats", "a  b", "two."],
)
def test_a_target_that_hardly_any_answer_is_spelled_like(target: str) -> None:
    [problem] = warnings("What is <r0>?", target=target)
    assert problem.code == "target_spelling"
    assert f"the target {target!a} is not " in problem.message
    assert codes("What is <r0>?", target=target, kind="graded") == set()


@pytest.mark.parametrize(
    "target",
    ["red", " red ", "TWO", "caf\u00e9", "1,000", "U.S.", "5 p.m.", "\u4e8c", "-", "...", "3.5"],
)
def test_usual_targets_are_quiet(target: str) -> None:
    assert codes("What is <r0>?", target=target) == set()


# --- marks


def test_a_mark_that_no_text_mentions_is_named() -> None:
    [problem] = warnings("What is this?", "rectangle:blue")
    assert problem.code == "mark_not_mentioned"
    assert "no text mentions the mark that is drawn (blue rectangle)" in problem.message
    [problem] = warnings("Is it <r1>?", "rectangle:blue", n=2)
    assert "no text mentions 1 of 2 marks that are drawn" in problem.message


@pytest.mark.parametrize(
    "question",
    ["What is <r0>?", "What is in the box?", "Name the marked object.", "What is within it?"],
)
def test_words_of_a_mark_and_the_field_of_a_template_mention_it(question: str) -> None:
    template = "{question} It is {mark}." if "within" in question else ""
    assert codes(question, template=template) == set()


def test_choices_that_are_not_shown_mention_nothing() -> None:
    choices = ("<r0>", "<r1>")
    assert codes("Which?", n=2, choices=choices) == set()
    assert "mark_not_mentioned" in codes("Which?", n=2, choices=choices, template="{question}")


@pytest.mark.parametrize("name", ["none", "coordinates", "blind"])
def test_where_no_mark_is_drawn_none_need_be_mentioned(name: str) -> None:
    assert codes("What is this?", name) == set()


@pytest.mark.parametrize(
    ("question", "name", "n"),
    [
        ("What is in the red box?", "rectangle:aqua", 1),
        ("What is in the red box?", "ellipse:red", 1),
        ("What is in the red box?", "none", 1),
        ("What is in the red bounding box, <r0>?", "rectangle:blue", 1),
        ("What is nearer, the blue point?", "official_points", 0),
    ],
)
def test_words_for_a_mark_that_is_not_drawn(question: str, name: str, n: int) -> None:
    assert codes(question, name, n=n) == {"other_mark"}


@pytest.mark.parametrize(
    ("question", "name", "n"),
    [
        ("What is in the red box?", "red_rectangle", 1),
        ("What is at the red circle?", "red_point", 1),
        ("What is in the red box?", "blind", 1),
        ("What is in the white box near <r0>?", "official_rectangles", 1),
        ("What is in the white box near <r0>?", "none", 1),
        ("Who crossed the white line?", "official_points", 0),
        ("What is in the red box?", "given", 0),
    ],
)
def test_words_for_a_drawn_mark_and_for_things(question: str, name: str, n: int) -> None:
    assert codes(question, name, n=n) == set()


# --- words that stand twice


@pytest.mark.parametrize(
    ("question", "name", "label"),
    [
        ("What is the object <r0>?", "official_rectangles", "object"),
        ("What is the object <r0>?", "official_training", "object"),
        ("What is the object <r0>?", "none", "object"),
        ("What is the object <r0>?", "coordinates", "object"),
        ("What is the <r0>?", "official_points", "object"),
        ("What is a dog <r0>?", "official_points", "dog"),
        ("What is within <r0>?", "official_rectangles", ""),
        ("What is in <r0>?", "official_rectangles", ""),
        ("What is at <r0>?", "coordinates", ""),
        ("Is <r0> rectangle red?", "official_rectangles", "object"),
    ],
)
def test_words_that_the_placeholder_brings_too(question: str, name: str, label: str) -> None:
    assert codes(question, name, label=label) == {"doubled_words"}


@pytest.mark.parametrize("question", ["Is the<r0> red?", "Is <r0>red?", "Are <r0><r0> red?"])
def test_words_without_a_space_before_the_placeholder(question: str) -> None:
    assert codes(question) == {"joined_words"}
    assert codes("Is (<r0>)'s colour, <r0>, <r0>'s?") == set()


def test_doubled_words_are_shown_and_sent_all_the_same() -> None:
    [problem] = warnings("Is the dog <r0> old?", "rectangle:red", label="dog")
    assert "'the dog the dog within': the text has words" in problem.message
    assert "'Is the dog the dog within the red rectangle old?" in problem.message
    assert codes("x", template="{question}: within the {mark}") == {"doubled_words"}


@pytest.mark.parametrize(
    ("question", "name", "label"),
    [
        ("What is the object <r0>?", "official_rectangles", ""),
        ("Is something at <r0>?", "official_points", "object"),
        ("Does <r0> point at it?", "official_points", "person"),
        ("I think that <r0> is old.", "official_rectangles", "person"),
        ("Is the dog, <r0>, old?", "official_rectangles", "dog"),
        ("Is the dog <r0> old?", "none", ""),
    ],
)
def test_words_that_stand_once(question: str, name: str, label: str) -> None:
    assert codes(question, name, label=label) == set()


# --- choices


@pytest.mark.parametrize(
    "choices",
    [
        *(("A. cat", "B. dog"), ("(a) cat", "(b) dog"), ("A) cat", "B) dog"), ("A: cat", "B: dog")),
        *(("1. cat", "2. dog", "3. cow"), ("A.cat", "B.dog"), ("B. dog", "A. cat")),
        *(("A. cat", "B. dog", "C. cow", "none of them"), ("A\tcat", "B\tdog")),
        *(("**A.** cat", "**B.** dog"), ("Option A: cat", "Option B: dog"), ("[A] cat", "[B] dog")),
    ],
)
def test_choices_with_labels_of_their_own(choices: tuple[str, ...]) -> None:
    [problem] = warnings("What is <r0>?", choices=choices)
    assert problem.code == "choice_labels"
    assert "sent as" in problem.message


@pytest.mark.parametrize(
    "choices",
    [
        *(("A man", "A dog"), ("A. Lincoln", "G. Washington"), ("A", "B"), ("(A)", "(B)")),
        *(("1.5", "2.5"), ("1:30", "2:30"), ("1 - 2", "2 - 3"), ("1: 2", "2: 3")),
        *(("A.D.", "B.C."), ("A. cat", "dog", "cow"), ("A.M. Turing", "B. Russell is one")),
    ],
)
def test_choices_that_begin_so_by_themselves(choices: tuple[str, ...]) -> None:
    assert codes("What is <r0>?", choices=choices) == set()


def test_what_the_prompt_says_again() -> None:
    two = ("cat", "dog")
    assert codes("What is <r0>?\nA. cat\nB. dog", choices=two) == {"choices_twice"}
    assert codes("What is <r0>? (A) cat (B) dog", choices=two) == {"choices_twice"}
    assert codes("<r0>? Answer the question using a single word or phrase.") == {
        "instruction_twice"
    }


def test_choices_and_questions_without_words() -> None:
    assert codes("<r0>?", choices=("cat", "cat ")) == {"equal_choices"}
    assert codes("<r0>?", choices=("cat", " ")) == {"empty_text"}
    assert codes(" ", "none") == {"empty_text"}
    assert codes("", "none", template="Describe the picture.") == set()


# --- what is left of other encodings and programs


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ("Is <r0> black &amp; white?", "escaped_text"),
        ("Is <r0> Tom&#39;s?", "escaped_text"),
        ("Is <r0> old?\\nOptions", "escaped_text"),
        ("Is <r0> a caf\u00c3\u00a9?", "broken_text"),
        ("Is <r0> Tom\u00e2\u20ac\u2122s?", "broken_text"),
        ("Is <r0> a caf\ufffd?", "broken_text"),
        ("Is <r0> \x1b[31mred?", "broken_text"),
        ("USER: Is <r0> red?", "role_words"),
        ("Is <r0> red?\nAssistant:", "role_words"),
        ("### Human: Is <r0> red?", "role_words"),
    ],
)
def test_what_is_left_of_other_programs(question: str, code: str) -> None:
    [problem] = warnings(question)
    assert problem.code == code
    assert "\x1b" not in problem.message


@pytest.mark.parametrize(
    "question",
    [
        *("Is <r0> an AT&T; shop?", "Does <r0> say C:\\new?", "Is <r0> the user: Tom?"),
        "Is <r0> na\u00efve, \u00e9\u00e8 \u4f60\u597d?",
    ],
)
def test_ordinary_signs(question: str) -> None:
    assert codes(question) == set()


# --- counting


def test_a_code_counts_once_a_sample_whatever_the_styles() -> None:
    spec = TaskSpec(name="t", version=1, title="", kind="short_answer", data="t")
    found = TextWarnings()
    assert found.note("t") == ""
    for number in range(7):
        sample = Sample(
            id=f"q{number}",
            image="a.png",
            question="<obj>, <obj>?",
            target="red",
            group="a",
            task=spec,
        )
        for name in ("official_points", "none"):
            asked = style(name)
            found.add(sample, asked, build_request(sample, asked, seed=0))
    assert found.counts == {"foreign_placeholder": 7}
    assert found.note("t").startswith(
        "t: the texts of 7 samples may not say what they should (foreign_placeholder 7), such as "
        "q0: style official_points: '<obj>': a placeholder of another format"
    )
    assert found.note("t").endswith(" · `vipbench check t` lists more")


def test_an_image_that_is_shown_twice_has_no_further_marks() -> None:
    assert codes("What is <r0>?", "crop+full") == set()
    assert "mark_not_mentioned" in codes("What is <r0>?", "crop+full", n=2)
