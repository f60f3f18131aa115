import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.prompts.made import KNOWN, pair, sample, style, task
from vipbench.errors import DataError, TaskError
from vipbench.prompts.colors import COLORS
from vipbench.prompts.expressions import HEADLINE_KINDS, parse_styles
from vipbench.prompts.request import build_request, lead_region, request_key
from vipbench.prompts.tags import prompt_tags
from vipbench.schema import (
    PromptStyle,
    Region,
    Request,
    Sample,
    VisualPrompt,
)

HERE = Path(__file__).resolve().parent.parent
GOLDENS: dict[str, Any] = runpy.run_path(str(HERE / "make_goldens.py"))


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


# --- the key


def test_the_key_is_the_same_in_every_version() -> None:
    """Answers are kept under their key: a change here makes all earlier runs worthless."""
    of = sample("Is <r0> it?", choices=("yes", "no"), task=task(version=3))
    request = build_request(of, style("rectangle:red:alpha=128:width=3"), 0, image_digest="0" * 64)
    assert request.key == "edc03d3902b5ee9c5a566c259ed30a94c153c5f38d6b977643f2e89b7c6b437f"
    two = build_request(
        pair(0, 1, task=task(version=3)),
        style("rectangle:red:alpha=128:width=3"),
        0,
        image_digest=["0" * 64, "1" * 64],
    )
    assert two.key == "f2c847980dc0a77f7aa9694791a393d5b895868f903012ee43bfa4f23d116581"


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


def test_without_the_files_bytes_the_key_knows_the_images_name() -> None:
    red, of = KNOWN["red_point"], sample("Is <r0> it?")
    other = of.model_copy(update={"image": "2.png"})
    assert build_request(of, red, 0).key != build_request(other, red, 0).key
    digests = [build_request(each, red, 0, image_digest="d").key for each in (of, other)]
    assert digests[0] == digests[1]
    assert build_request(of, red, 0).key not in digests


def test_a_sampled_answer_is_keyed_by_run_task_and_sample() -> None:
    of = sample("Is <r0> it?", task=task(official_temperature=0.7))
    asked = build_request(of, KNOWN["red_point"], 7, replay="official")
    # Runs of earlier versions sampled under this seed.
    assert (asked.temperature, asked.seed) == (0.7, 2728169533248598)
    greedy = build_request(of, KNOWN["red_point"], 7)
    assert (greedy.temperature, greedy.seed) == (0, 0)
    assert asked.key != greedy.key
    later = build_request(of, KNOWN["red_point"], 8, replay="official")
    assert asked.key != later.key


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
    others = [  # at the same time
        subprocess.Popen(
            [sys.executable, "-c", program, __file__],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            cwd=HERE.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for hash_seed in ("1", "2")
    ]
    expected = ["\t".join((*key, request.key)) for key, request in sorted(requests().items())]
    assert len(expected) > 200
    for other in others:
        printed, error = other.communicate()
        assert printed.splitlines() == expected, error


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
            named = sample("<r0>?")
            regions = tuple(r.model_copy(update={"id": "A"}) for r in named.regions)
            build_request(named.model_copy(update={"regions": regions}), KNOWN[name], 0)
    assert build_request(sample("<r0>?"), KNOWN["official_training"], 0) == before


def test_a_key_binds_the_files_of_all_images_in_order() -> None:
    plain = Request(
        task="t", style="s", id="1", turns=("?",), image="a", fit="pad", max_new_tokens=1, key=""
    )
    pair = plain.model_copy(update={"images": ("a", "b")})
    assert request_key(plain, 1, "x") == request_key(plain, 1, ["x"])
    keys = [request_key(plain, 1, "x")]
    keys += [request_key(pair, 1, each) for each in (["x", "y"], ["y", "x"], ["x", "z"])]
    moved = pair.model_copy(update={"images": ("c", "d")})
    assert request_key(moved, 1, ["x", "y"]) == keys[1]
    blind = pair.model_copy(update={"blind": True})
    keys += [request_key(blind, 1, ["x", "y"])]
    assert request_key(blind, 1, ["x", "z"]) == keys[-1]
    keys += [request_key(plain.model_copy(update={"blind": True}), 1, "x")]
    assert len(set(keys)) == len(keys)
    for sizes in (((9, 9), (9, 9)), ((9, 9), (9, 8))):
        keys += [request_key(pair.model_copy(update={"draw_sizes": sizes}), 1, ["x", "y"])]
    assert len(set(keys)) == len(keys)
    with pytest.raises(ValueError, match="1 digests of 2 images"):
        request_key(pair, 1, "x")


def test_each_image_keeps_its_own_regions_and_one_without_any_stays_as_it_is() -> None:
    of = pair(1, 1, 0)
    for name in ("spotlight", "blur", "crop"):
        [parsed] = parse_styles(name, KNOWN, headline=KNOWN["demo"])
        request = build_request(of, parsed, 0)
        assert request.surround is not None
        assert request.surround.regions == of.regions
        kept = [request.of_image(index).surround for index in range(2)]
        assert [each and each.regions for each in kept] == [of.regions[2:], of.regions[:2]]
        first = build_request(pair(0), parsed, 0)
        assert first.of_image(0).surround == first.surround
        assert first.of_image(1).surround is None


def test_around_points_in_one_of_several_images_nothing_could_be_kept() -> None:
    box, point = Region(box=(1, 1, 5, 5)), Region(box=(2, 2, 2, 2), image=1)
    of = pair(regions=(box, point))
    for name in ("spotlight", "blur"):
        [parsed] = parse_styles(name, KNOWN, headline=KNOWN["demo"])
        with pytest.raises(DataError, match=r"but those in image 2 are points · use a style of"):
            build_request(of, parsed, 0)
        wide = Region(box=(2, 2, 4, 4), image=1)
        assert build_request(pair(regions=(box, point, wide)), parsed, 0).surround is not None
    [crop] = parse_styles("crop", KNOWN, headline=KNOWN["demo"])
    assert build_request(of, crop, 0).surround is not None
    with pytest.raises(DataError, match="keeps the regions, but there are none"):
        build_request(pair(question="?"), crop, 0)


# --- what is around the regions


@pytest.mark.parametrize("name", ["spotlight", "blur", "crop"])
def test_what_is_around_the_regions_goes_and_they_are_named_in_the_request(name: str) -> None:
    request = build_request(sample("<r0>?"), style(name, "red_rectangle"), 0)
    assert request.surround is not None
    assert request.surround.regions == sample("").regions
    with pytest.raises(DataError, match="keeps the regions, but there are none"):
        build_request(sample("What is it?", 0), style(name, "red_rectangle"), 0)


def test_a_sample_without_a_task_has_the_key_of_version_0() -> None:
    request = build_request(sample("<r0>?"), KNOWN["demo"], 0, image_digest="d")
    assert request.max_new_tokens == 128
    assert request.key == request_key(request, 0, "d")
    assert request.key != request_key(request, 1, "d")
