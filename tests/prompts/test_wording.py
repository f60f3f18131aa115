import runpy
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.prompts.made import KNOWN, sample, style, task, text
from vipbench.errors import DataError, TaskError
from vipbench.images.fit import fit_box
from vipbench.prompts.colors import COLORS
from vipbench.prompts.request import build_request
from vipbench.prompts.styles import SHAPES
from vipbench.prompts.words import WORDS
from vipbench.schema import (
    Box,
    Fit,
    PromptChoices,
    Region,
    Sample,
)

HERE = Path(__file__).resolve().parent.parent
GOLDENS: dict[str, Any] = runpy.run_path(str(HERE / "make_goldens.py"))
ENDING = "Answer with the option's letter from the given choices directly."


# --- the official wording


def test_visual7w_as_published() -> None:
    choices = {"colors": ["gold", "purple", "lime", "blue"], "articles": [False, True, False, True]}
    of = sample("Which item can be opened?", 4, choices=("<r0>", "<r1>", "<r2>", "<r3>"))
    assert text(of, "official_rectangles", choices) == (
        "Which item can be opened?\n"
        "A. The object within gold rectangle\n"
        "B. The object within the purple rectangle\n"
        "C. The object within lime rectangle\n"
        "D. The object within the blue rectangle\n" + ENDING
    )


def test_vcr_as_published() -> None:
    regions = tuple(
        Region(box=(0, 0, 9, 9), label=label) for label in ("person", "chair", "person")
    )
    of = sample(
        "Why does <r0> lift <r1> ?",
        regions=regions,
        choices=("<r0> wants to clean.", "<r2> and <r0> ' s dog.", "No.", "<r1>"),
    )
    choices = PromptChoices(
        colors=("aqua", "gold", None), articles=(True, False, True, False, True, False)
    )
    assert text(of, "official_points", choices) == (
        "Why does the person at the aqua point lift the chair at gold point ?\n"
        "A. The person at the aqua point wants to clean.\n"
        "B. The person at point and the person at the aqua point ' s dog.\n"
        "C. No.\n"
        "D. The chair at gold point\n" + ENDING
    )


def test_articles_are_counted_through_question_given_answer_and_choices() -> None:
    template = '"{question}" The answer is "{given_answer}".What?\n{choices}'
    of = sample(
        "<r0>?", given_answer="So <r0>.", choices=("<r0>", "b"), task=task(template=template)
    )
    choices = {"colors": [None], "articles": [True, False, True]}
    assert text(of, "official_points", choices) == (
        '"The object at the point?" The answer is "So the object at point.".What?\n'
        "A. The object at the point\nB. b"
    )


@pytest.mark.parametrize(
    ("shape", "words"),
    [(shape, f"{WORDS[shape][0]} the red {WORDS[shape][1]}") for shape in SHAPES],
)
def test_each_shape_has_its_words(shape: str, words: str) -> None:
    assert text(sample("<r0>"), f"{shape}:red").startswith(f"The object {words}\n")


def test_the_mark_of_a_template_has_no_color() -> None:
    of = sample("How many?", task=task(template="{question} It is {mark}.", kind="short_answer"))
    assert text(of, "red_rectangle") == "How many? It is within the rectangle."
    assert text(of, "red_point") == "How many? It is at the point."
    assert text(of, "arrow:blue") == "How many? It is pointed to by the arrow."
    assert text(of, "none") == "How many? It is object 1."
    assert text(of, "coordinates") == "How many? It is at [0.000, 0.300, 0.080, 0.450]."
    with pytest.raises(TaskError, match=r"some_task: '1' has no region"):
        build_request(of.model_copy(update={"regions": ()}), KNOWN["none"], 0)


def test_official_articles_are_a_coin_for_each_mention_and_others_always_the() -> None:
    of = sample("<r0> <r1> <r0>", 2)
    counts = Counter[bool]()
    patterns = set()
    for seed in range(500):
        line = build_request(of, KNOWN["official_rectangles"], seed).turns[0].split("\n")[0]
        coins = tuple(part.startswith("the ") for part in line.split("within ")[1:])
        counts.update(coins)
        patterns.add(coins)
        line = build_request(of, KNOWN["demo"], seed).turns[0].split("\n")[0]
        assert line.lower().count("the object") == 3
        assert all(f"{WORDS[shape][0]} the " in line for shape in _shapes(of, seed))
    assert len(patterns) == 8
    assert 0.45 < counts[True] / counts.total() < 0.55


def _shapes(of: Sample, seed: int) -> list[Any]:
    return [prompt.shape for prompt in build_request(of, KNOWN["demo"], seed).visual_prompts]


def test_the_text_names_the_marks_that_are_drawn() -> None:
    """Against a second writing of the wording, over many random samples and all styles."""
    rng = Random("wording")
    for seed in range(300):
        labels = [rng.choice(["person", "chair", ""]) for _ in range(rng.randint(1, 6))]
        regions = tuple(Region(box=(0, 0, 9, 9), label=label) for label in labels)
        parts = [rng.choice(["<r{}>", "of", ", and", "'"]) for _ in range(rng.randint(1, 9))]
        parts = [part.format(rng.randrange(len(labels))) for part in parts]
        of = sample(" ".join(parts), regions=regions, task=task(template="{question}"))
        for name in ("official_rectangles", "official_training", "demo", "demo_unseen"):
            request = build_request(of, KNOWN[name], seed)
            names = {rgb: word for word, rgb in COLORS.items()}
            options: list[set[str]] = []
            for at, part in enumerate(parts):
                if not part.startswith("<r"):
                    options.append({part})
                    continue
                place = int(part[2:-1])
                mark = request.visual_prompts[place]
                where, noun, *_ = WORDS[mark.shape]
                color = f"{names[mark.color]} " if mark.color in names else ""
                thing = f"the {labels[place]} " if labels[place] else ""
                said = {f"{thing}{where} {the}{color}{noun}" for the in ("the ", "")}
                if not KNOWN[name].official:
                    said = {f"{thing}{where} the {color}{noun}"}
                options.append({s[0].upper() + s[1:] for s in said} if at == 0 else said)
            rest = request.turns[0]
            for said in options:
                (found,) = {s for s in said if (rest + " ").startswith(s + " ")}
                rest = rest.removeprefix(found).removeprefix(" ")
            assert rest == ""


# --- choices fixed by hand


def test_choices_may_be_a_mapping_or_a_record() -> None:
    of = sample("<r0> or <r1>?", 2)
    fields = {"colors": ["red", [1, 2, 3]], "articles": [False, True], "shapes": ["arrow", "mask"]}
    record = PromptChoices.model_validate(fields)
    request = build_request(of, KNOWN["official_points"], 5, fields)
    assert request == build_request(of, KNOWN["official_points"], 5, record)
    assert request.turns[0].startswith(
        "The object pointed to by red arrow or the object with the mask?\n"
    )
    assert [prompt.color for prompt in request.visual_prompts] == [(255, 0, 0), (1, 2, 3)]


def test_choices_left_open_are_drawn_as_ever() -> None:
    of = sample("<r0> or <r1>?", 2)
    for official in ("official_points", "official_training", "demo"):
        assert build_request(of, KNOWN[official], 3, {}) == build_request(of, KNOWN[official], 3)


@pytest.mark.parametrize(
    ("choices", "said"),
    [
        ({"colors": ["red"]}, "1 colors were chosen, but there are 2 regions"),
        ({"articles": [True]}, "1 articles were chosen, but there are 3 mentions"),
        ({"articles": [True] * 4}, "4 articles were chosen, but there are 3 mentions"),
        ({"colors": ["red", "grin"]}, "color 'grin' is unknown · known: aqua"),
        ({"colours": ["red"]}, "unknown key 'colours' · did you mean 'colors'?"),
        ({"colors": ["red", [1, 2, 300]]}, "colors.1.2 = 300 · expected"),
        ({"shapes": ["ring", "point"]}, "shape 'ring' is unknown"),
    ],
)
def test_choices_that_do_not_fit_name_task_and_sample(choices: Any, said: str) -> None:
    of = sample("<r0> <r1> <r0>", 2, task=task())
    with pytest.raises(TaskError) as caught:
        build_request(of, KNOWN["official_points"], 0, choices)
    assert str(caught.value).startswith("some_task: '1': ")
    assert said in str(caught.value)


def test_controls_leave_choices_aside() -> None:
    of = sample("<r0>?")
    choices = {"colors": ["red"], "articles": [True]}
    assert text(of, "none", choices) == text(of, "none")


# --- controls


def test_none_tells_regions_apart_without_shape_and_color() -> None:
    regions = tuple(Region(box=(0, 0, 9, 9), label=label) for label in ("person", "", "dog"))
    of = sample("<r0> near <r1>?", regions=regions, choices=("<r2>", "no"))
    request = build_request(of, KNOWN["none"], 0)
    assert request.turns[0] == f"Person 1 near object 2?\nA. Dog 3\nB. no\n{ENDING}"
    assert request.visual_prompts == ()
    assert not request.blind


@pytest.mark.parametrize("fit", ["pad", "squash", "crop"])
def test_coordinates_are_fractions_of_the_fitted_image(fit: Fit) -> None:
    box: Box = (-10, 5, 50.5, 50)
    of = sample("Is <r0> it?", regions=(Region(box=box, label="dog"),))
    numbers = ", ".join(f"{value:.3f}" for value in fit_box(box, (100, 50), fit))
    assert text(of, "coordinates", fit=fit).startswith(f"Is the dog at [{numbers}] it?\n")


def test_coordinates_have_no_negative_zero_and_fit_a_place_without_a_label() -> None:
    of = sample("At <r0>?", regions=(Region(box=(-0.01, 0, 100, 50), label=""),))
    assert text(of, "coordinates", fit="squash").startswith("At at [0.000, 0.000, 1.000, 1.000]?\n")


def test_coordinates_need_the_size_of_the_image() -> None:
    with pytest.raises(DataError, match="sample '1': the image's size is unknown"):
        build_request(sample("<r0>?", image_size=None), KNOWN["coordinates"], 0)


@pytest.mark.parametrize("headline", ["official_points", "demo", "red_point"])
def test_blind_has_the_text_and_marks_of_the_headline(headline: str) -> None:
    of = sample("Is <r0> it?")
    blind = build_request(of, style("blind", headline), 3)
    marked = build_request(of, KNOWN[headline], 3)
    assert (blind.turns, blind.visual_prompts) == (marked.turns, marked.visual_prompts)
    assert (blind.blind, marked.blind) == (True, False)
    assert blind.key != marked.key


def test_given_leaves_text_and_image_alone() -> None:
    of = sample("What is in the red box?", 0, task=task(template="{question}", kind="graded"))
    request = build_request(of, KNOWN["given"], 0)
    assert request.turns == ("What is in the red box?",)
    assert request.visual_prompts == ()


@pytest.mark.parametrize("name", ["given", "blind"])
def test_a_mention_needs_a_mark(name: str) -> None:
    with pytest.raises(TaskError, match=rf"some_task: '1' mentions a region, but style '{name}'"):
        build_request(sample("<r0>?", task=task()), KNOWN[name], 0)


# --- templates


def test_the_default_template_depends_on_the_choices() -> None:
    assert text(sample("Q?", 0, choices=("a", "b")), "none") == f"Q?\nA. a\nB. b\n{ENDING}"
    assert text(sample("Q?", 0), "none") == (
        "Q?\nAnswer the question using a single word or phrase."
    )


@pytest.mark.parametrize("question", ["{choices}", "{mark} {x}", r"\1 \g<0>", "<image>", "50 % {}"])
def test_the_words_of_a_question_are_never_a_template(question: str) -> None:
    of = sample(question, choices=("{question}", "b"))
    assert text(of, "none") == f"{question}\nA. {{question}}\nB. b\n{ENDING}"


def test_request_takes_fit_tokens_and_options_from_task_and_sample() -> None:
    of = sample("Q?", 0, choices=("a", "b", "c"), task=task(fit="crop", max_new_tokens=7))
    request = build_request(of, KNOWN["none"], 0)
    assert (request.task, request.style, request.id, request.image) == (
        "some_task", "none", "1", "1.png",
    )  # fmt: skip
    assert (request.fit, request.max_new_tokens, request.options) == ("crop", 7, ("A", "B", "C"))
    assert build_request(of, KNOWN["none"], 0, fit="squash").fit == "squash"
    assert build_request(sample("Q?", 0), KNOWN["none"], 0).fit == "pad"
