import json
import os
import runpy
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import pytest

from vipbench.data.tasks import all_styles
from vipbench.errors import DataError, TaskError
from vipbench.images.fit import fit_box
from vipbench.prompts.request import build_request, lead_region, prompt_tags
from vipbench.prompts.styles import COLORS, HEADLINE_KINDS, WORDS, parse_styles
from vipbench.schema import (
    Box,
    Fit,
    PromptChoices,
    PromptStyle,
    Region,
    Request,
    Sample,
    TaskSpec,
    VisualPrompt,
)

HERE = Path(__file__).resolve().parent.parent
GOLDENS: dict[str, Any] = runpy.run_path(str(HERE / "make_goldens.py"))
KNOWN = all_styles()
ENDING = "Answer with the option's letter from the given choices directly."


def task(**fields: Any) -> TaskSpec:
    known = {"name": "some_task", "version": 1, "title": "", "kind": "choice", "data": "a"}
    return TaskSpec.model_validate({**known, **fields})


def sample(question: str, n: int = 1, **fields: Any) -> Sample:
    """A sample with n regions, 10 px apart, in an image of 100 x 50 px."""
    regions = tuple(Region(box=(10 * i, 5, 10 * i + 8, 20)) for i in range(n))
    known = {"id": "1", "image": "1.png", "target": "A", "group": "1", "regions": regions}
    return Sample(**{**known, "image_size": (100, 50), "question": question, **fields})


def style(expression: str, headline: str | None = None) -> PromptStyle:
    (found,) = parse_styles(expression, KNOWN, KNOWN[headline] if headline else None)
    return found


def text(of: Sample, expression: str, choices: Any = None, **options: Any) -> str:
    (turn,) = build_request(of, style(expression), 0, choices, **options).turns
    return turn


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
    [(shape, f"{words[0]} the red {words[1]}") for shape, words in WORDS.items()],
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
                where, noun = WORDS[mark.shape]
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
        ({"colors": ["red", "grin"]}, "color 'grin' is unknown; known: aqua"),
        ({"colours": ["red"]}, "unknown key 'colours'; did you mean 'colors'?"),
        ({"colors": ["red", [1, 2, 300]]}, "colors.1.2 = 300 should be"),
        ({"shapes": ["ring", "point"]}, "shapes.0 = 'ring' should be"),
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
    with pytest.raises(DataError, match="sample '1': the image's size is not known"):
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


# --- more regions than colours


def test_too_few_colors_in_a_named_style_names_the_task() -> None:
    of = sample("<r0>?", 7, task=task())
    with pytest.raises(TaskError, match=r"^some_task: '1': style 'demo' has 6 colors, but there"):
        build_request(of, KNOWN["demo"], 0)


@pytest.mark.parametrize(
    ("target_region", "question", "lead"),
    [(2, "<r1> <r0>", 2), (None, "see <r1> <r0>", 1), (None, "see", 0), (0, "<r1>", 0)],
)
def test_an_inline_color_goes_to_the_target_else_the_first_mentioned(
    target_region: int | None, question: str, lead: int
) -> None:
    of = sample(question, 3, target_region=target_region)
    assert lead_region(of) == lead
    inline = style("ellipse:purple")
    request = build_request(of, inline, 0)
    drawn = [prompt.color for prompt in request.visual_prompts]
    assert [color == COLORS["purple"] for color in drawn] == [place == lead for place in range(3)]
    assert len(set(drawn)) == 3
    tags = prompt_tags(of, inline, request.visual_prompts)
    assert (tags["shape"], tags["color"]) == (("ellipse",), ("purple",))


def test_the_first_mention_may_stand_in_a_choice() -> None:
    assert lead_region(sample("Which?", 3, choices=("no", "<r2>"))) == 2


# --- tags


def tags(of: Sample, expression: str, choices: Any = None) -> dict[str, str]:
    chosen = style(expression)
    request = build_request(of, chosen, 0, choices)
    return {k: "|".join(v) for k, v in prompt_tags(of, chosen, request.visual_prompts).items()}


def test_a_group_is_what_all_marks_share() -> None:
    of = sample("?", 2)
    choices = {"colors": ["red", "red"], "shapes": ["point", "point"]}
    known = {"n_marks": "2", "size": "medium", "target_size": "medium"}
    red = known | {"target_color": "red", "width": "mixed", "alpha": "255"}
    same = {"shape": "point", "color": "red", "width": "16"}
    assert tags(of, "demo", choices) == red | same
    choices = {"colors": ["red", "blue"], "shapes": ["point", "arrow"]}
    assert tags(of, "demo", choices) == red | {"shape": "mixed", "color": "mixed"}
    assert tags(of, "none") == known
    assert tags(of, "coordinates") == known


def test_random_rgb_is_one_group_and_the_styles_own_colors_are_groups() -> None:
    of = sample("?", 2)
    assert tags(of, "official_points", {"colors": [[1, 2, 3], [4, 5, 6]]})["color"] == "unnamed"
    assert tags(of, "official_points", {"colors": [[1, 2, 3], "red"]})["color"] == "mixed"
    assert tags(sample("?"), "arrow:#1E90FF")["color"] == "#1e90ff"
    assert tags(sample("?"), "arrow:#FF0000")["color"] == "red"


@pytest.mark.parametrize(
    ("box", "size"),
    [((0, 0, 10, 9), "small"), ((0, 0, 10, 10), "medium"), ((0, 0, 50, 9), "medium"),
     ((0, 0, 50, 10), "large"), ((-50, 0, 150, 50), "large"), ((5, 5, 5, 5), "small")],
)  # fmt: skip
def test_size_is_the_share_of_the_image_that_the_box_covers(box: Box, size: str) -> None:
    of = sample("?", regions=(Region(box=box),))
    assert tags(of, "demo")["size"] == size


def test_size_of_several_marks() -> None:
    regions = (Region(box=(0, 0, 5, 5)), Region(box=(0, 0, 90, 45)))
    of = sample("?", regions=regions, target_region=1)
    assert tags(of, "demo")["size"] == "mixed"
    assert tags(of, "arrow:red")["size"] == "large"
    assert "size" not in tags(of.model_copy(update={"image_size": None}), "demo")


def test_the_target_is_the_target_region_or_the_first_mentioned() -> None:
    regions = (Region(box=(0, 0, 5, 5)), Region(box=(0, 0, 90, 45)))
    choices = {"colors": ["red", "blue"], "shapes": ["point", "arrow"]}
    of = sample("?", regions=regions, target_region=1)
    found = tags(of, "demo", choices)
    assert (found["target_color"], found["target_size"]) == ("blue", "large")
    found = tags(sample("Is <r1> near <r0>?", regions=regions), "demo", choices)
    assert (found["target_color"], found["target_size"]) == ("blue", "large")


def test_the_position_is_the_letter_of_the_right_option() -> None:
    assert tags(sample("?", choices=("x", "y"), target="B"), "demo")["position"] == "B"
    assert "position" not in tags(sample("?", target="B"), "demo")


def test_tags_of_the_sample_stay_and_those_of_drawn_marks_win() -> None:
    of = sample("?", 1, tags={"kind": ("a", "b"), "shape": ("round",)})
    assert tags(of, "point:red") | {"size": "", "target_size": ""} == {
        "kind": "a|b", "shape": "point", "color": "red", "n_marks": "1", "size": "",
        "target_color": "red", "target_size": "", "width": "8", "alpha": "128",
    }  # fmt: skip
    assert tags(of, "official_training")["width"] == "drawn"
    marked = sample("?", 0, tags={"shape": ("rectangle",), "color": ("mixed",)})
    assert tags(marked, "given") == {"shape": "rectangle", "color": "mixed"}


# --- the key


def test_the_key_is_the_same_in_every_version() -> None:
    """Answers are kept under their key: a change here makes all earlier runs worthless."""
    of = sample("Is <r0> it?", choices=("yes", "no"), task=task(version=3))
    request = build_request(of, style("rectangle:red:alpha=128:width=3"), 0, image_digest="0" * 64)
    assert request.key == "edc03d3902b5ee9c5a566c259ed30a94c153c5f38d6b977643f2e89b7c6b437f"


def test_the_key_covers_what_a_model_can_see_and_nothing_else() -> None:
    of = sample("Is <r0> it?", choices=("yes", "no"), task=task(fit="pad"))
    red = KNOWN["red_point"]

    def key(of: Sample = of, style: PromptStyle = red, digest: str = "d", **options: Any) -> str:
        return build_request(of, style, 0, image_digest=digest, **options).key

    def changed(**fields: Any) -> Sample:
        return of.model_copy(update=fields)

    other = [
        key(changed(task=task(fit="pad", version=2))),
        key(changed(task=task(fit="pad", max_new_tokens=5))),
        key(changed(question="Is <r0> it ?")),
        key(changed(choices=("no", "yes"))),
        key(changed(regions=(Region(box=(0, 5, 9, 20)),))),
        key(fit="squash"),
        key(digest="e"),
        key(style=style("blind", "red_point")),
        key(style=red.model_copy(update={"alpha": 127})),
        key(style=red.model_copy(update={"width": {}})),
        key(choices={"shapes": ["arrow"]}),
        build_request(of, red, 1, image_digest="d").key,
    ]
    assert len({key(), *other}) == len(other) + 1
    same = [
        key(changed(target="B")),
        key(changed(group="2", tags={"a": ("b",)}, target_region=0)),
        key(changed(image="elsewhere.png")),
        key(changed(task=task(fit="pad", name="other", title="Other", breakdown=("a",)))),
        key(style=red.model_copy(update={"name": "another"})),
    ]
    assert {*same} == {key()}


def test_the_key_of_a_blind_request_knows_neither_image_nor_marks() -> None:
    of = sample("No mention", choices=("yes", "no"))
    keys = {
        build_request(of, style("blind", headline), seed, image_digest=digest).key
        for headline in ("red_point", "demo")
        for seed in (0, 1)
        for digest in ("d", "e")
    }
    assert len(keys) == 1


# --- randomness


def requests(seed: int = 0) -> dict[tuple[str, str, str], Request]:
    """All requests of the samples in tests/data, under many styles."""
    found = {}
    for name in ("visual7w_pointing", "pointqa_looktwice", "vcr_qa", "vcr_qar", "vip_bench_drawn"):
        spec = GOLDENS["load_task"](name)
        for where, source in GOLDENS["sources"](spec):
            for of in GOLDENS["usable"](spec, source):
                for chosen in parse_styles(
                    "official_rectangles,official_points,official_training,demo,none,coordinates"
                    ",arrow:red,mask:#102030,blind",
                    KNOWN,
                    KNOWN["demo"],
                ):
                    key = (f"{name} {where}", of.id, chosen.name)
                    found[key] = build_request(of, chosen, seed)
    return found


def test_other_processes_give_the_same_requests_whatever_their_hash_seed() -> None:
    program = (
        "import sys, runpy\n"
        "found = runpy.run_path(sys.argv[1])['requests']()\n"
        "for key, request in sorted(found.items()): print(*key, request.key, sep='\\t')"
    )
    expected = ["\t".join((*key, request.key)) for key, request in sorted(requests().items())]
    assert len(expected) > 200
    for hash_seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program, __file__],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=HERE.parent,
            capture_output=True,
            text=True,
        )
        assert done.stdout.splitlines() == expected, done.stderr


def test_another_seed_changes_what_is_drawn_at_random_and_nothing_else() -> None:
    first, second = requests(0), requests(1)
    random_fields = {"shape", "color", "alpha", "seed"}
    for key, request in first.items():
        other = second[key]
        if not request.visual_prompts:
            assert request == other
            continue
        assert request.key != other.key or request.blind
        same = {"key", "turns", "visual_prompts"}
        assert request.model_dump(exclude=same) == other.model_dump(exclude=same)
        for left, right in zip(request.visual_prompts, other.visual_prompts, strict=True):
            assert _without(left, random_fields) == _without(right, random_fields)
            assert left.seed != right.seed
        if key[2] in ("arrow:red", "mask:#102030") and len(request.visual_prompts) == 1:
            assert request.turns == other.turns
    texts = [request.turns == second[key].turns for key, request in first.items()]
    assert any(texts)
    assert not all(texts)


def _without(prompt: VisualPrompt, fields: set[str]) -> str:
    kept = prompt.model_dump(mode="json", exclude={*fields, "width"})
    return json.dumps(kept, sort_keys=True)


def test_requests_do_not_depend_on_the_order_in_which_they_are_built() -> None:
    expected = requests()
    spec = GOLDENS["load_task"]("vcr_qa")
    for where, source in GOLDENS["sources"](spec):
        for of in reversed(list(GOLDENS["usable"](spec, source))):
            for name in ("none", "demo", "official_training", "official_points"):
                key = (f"vcr_qa {where}", of.id, name)
                assert build_request(of, KNOWN[name], 0) == expected[key]


def test_what_else_is_built_moves_nothing() -> None:
    """What one task or style draws is keyed by the sample alone: adding one moves nothing."""
    before = build_request(sample("<r0>?"), KNOWN["official_training"], 0)
    for name in KNOWN:
        if KNOWN[name].kind not in ("given", *HEADLINE_KINDS):
            build_request(sample("<r0>?"), KNOWN[name], 0)
    assert build_request(sample("<r0>?"), KNOWN["official_training"], 0) == before
