import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.results import line, lines, manifest, row, save_rows, save_scores, task_run
from vipbench import files
from vipbench.analysis.reproduce import records
from vipbench.analysis.reproduce.published import Protocol, Published, Registry
from vipbench.analysis.reproduce.records import Comparison, ReasonCode, Reproduction
from vipbench.analysis.reproduce.text import details, summary, table, write
from vipbench.analysis.reproduce.verdicts import reproduce
from vipbench.errors import RunError
from vipbench.runfolder.folder import JUDGE, SUMMARY
from vipbench.stats import clustered_mean

V7W, POINTQA, VCR = "visual7w_pointing", "pointqa_looktwice", "vcr_q2ar"
VIP_7B, VIP_13B = "mucai/vip-llava-7b", "mucai/vip-llava-13b"


def v7w(folder: Path, accuracy: float | None, model: str = VIP_7B, **fields: Any) -> Path:
    """Write a run of Visual7W, complete and by the published protocol but for `fields`."""
    of_task = fields.pop("task", {})
    of_row = fields.pop("row", {})
    made = manifest(model, {V7W: task_run(V7W, n_samples=57265, **of_task)}, **fields)
    return save_rows(folder, made, [row(V7W, accuracy, **({"n": 57265} | of_row))])


def published(
    found: Reproduction, value: float, source: str | None = None, group: str = "all"
) -> Comparison:
    [one] = [
        each
        for each in found.comparisons
        if (each.published.value, each.published.group) == (value, group)
        and source in (None, each.published.source)
    ]
    return one


def codes(comparison: Comparison) -> list[ReasonCode]:
    return [reason.code for reason in comparison.reasons]


def differing(comparison: Comparison) -> dict[str, tuple[str, str]]:
    return {each.what: (each.run, each.published) for each in comparison.differences}


# --- verdicts


@pytest.mark.parametrize(
    ("accuracy", "verdict"),
    [
        (0.8609, "reproduced"),
        (0.8689, "reproduced"),  # 86.59 - 0.5 is the end of the widened interval
        (0.8690, "outside"),
        (0.8529, "reproduced"),
        (0.8528, "outside"),
    ],
)
def test_a_number_is_reproduced_inside_the_widened_interval(
    tmp_path: Path, accuracy: float, verdict: str
) -> None:
    found = reproduce([v7w(tmp_path, accuracy)])
    assert published(found, 86.09).verdict == verdict
    assert published(found, 86.09).reasons == ()


def test_the_widening_is_half_a_point(tmp_path: Path) -> None:
    assert records.WIDENING == reproduce([v7w(tmp_path, 0.86)]).widening == 0.5


def test_what_is_shown_with_a_verdict(tmp_path: Path) -> None:
    one = published(reproduce([v7w(tmp_path, 0.8579)]), 86.09)
    assert one.points == pytest.approx(-0.30)
    assert one.ours is not None
    assert (one.ours.n, one.ours.n_expected) == (57265, 57265)
    assert one.ours.ci_low == pytest.approx(0.8549)
    assert one.ours.ci_high == pytest.approx(0.8609)
    assert one.runs == (str(tmp_path),)
    assert one.published.url is not None
    assert one.published.url.endswith("MODEL_ZOO.md")
    assert differing(one) == {"decoding": ("greedy", "sampled at T = 0.2 without a seed")}


def test_published_values_that_disagree_are_named(tmp_path: Path) -> None:
    found = reproduce([v7w(tmp_path / "7b", 0.863), v7w(tmp_path / "13b", 0.881, VIP_13B)])
    others = {
        each.published.value: [other.value for other in each.disagreeing]
        for each in found.comparisons
    }
    assert others == {
        86.09: [86.6],
        86.6: [86.09],
        88.28: [87.9, 87.91],
        87.9: [88.28],  # 87.91 is the same number with another digit
        87.91: [88.28],
    }


def test_the_same_number_rounded_is_no_disagreement(tmp_path: Path) -> None:
    run = manifest(VIP_7B, {POINTQA: task_run(POINTQA, n_samples=5711)})
    found = reproduce([save_rows(tmp_path, run, [row(POINTQA, 0.713, 5711)])])
    assert {each.value for each in published(found, 71.31).disagreeing} == {63.42, 58.47}


# --- whose number it is


@pytest.mark.parametrize(
    ("model", "converted_from", "expected"),
    [
        (VIP_7B, None, {}),
        ("MUCAI/ViP-LLaVA-7b", None, {}),
        (
            "llava-hf/vip-llava-7b-hf",
            None,
            {"conversion": ("llava-hf/vip-llava-7b-hf, a conversion", VIP_7B)},
        ),
        (
            "vip-llava-7b",
            None,
            {"checkpoint": ("vip-llava-7b, taken for it by its name only", VIP_7B)},
        ),
        (
            "my-folder",
            VIP_7B,
            {"conversion": (f"my-folder, converted from {VIP_7B}", "the original")},
        ),
        (
            "vip-llava-13b",
            "vip-llava-7b",
            {
                "checkpoint": ("vip-llava-13b, taken for it by its name only", VIP_7B),
                "conversion": ("vip-llava-13b, converted from vip-llava-7b", "the original"),
            },
        ),
    ],
)
def test_a_run_is_held_against_the_numbers_of_its_model(
    tmp_path: Path, model: str, converted_from: str | None, expected: dict[str, tuple[str, str]]
) -> None:
    run = v7w(
        tmp_path,
        0.861,
        model,
        converted_from=converted_from,
        settings={"decoding": "official"},
    )
    found = reproduce([run])
    assert {each.published.system for each in found.comparisons} == {"ViP-LLaVA-7B"}
    assert {each.verdict for each in found.comparisons} == {"reproduced"}
    assert differing(published(found, 86.09)) == expected


@pytest.mark.parametrize("model", ["other/vip-llava-7b", "vip-llava", "oracle"])
def test_another_model_is_held_against_nothing(tmp_path: Path, model: str) -> None:
    found = reproduce([v7w(tmp_path, 0.861, model)])
    assert found.comparisons == ()
    [left] = found.unlisted
    assert (left.task, left.n, left.reasons) == (V7W, 15, ())
    assert summary(found) == "No published number is comparable with what was run."


def test_other_systems_are_counted_and_listed_on_demand(tmp_path: Path) -> None:
    run = v7w(tmp_path, 0.861)
    assert [each.n for each in reproduce([run]).unlisted] == [13]
    found = reproduce([run], everything=True)
    assert found.unlisted == ()
    assert len(found.comparisons) == 15
    shikra = published(found, 85.33)
    assert (shikra.verdict, codes(shikra), shikra.points) == ("not comparable", ["system"], None)
    assert shikra.reasons[0].text == (f"the number is about Shikra-13B, the run about {VIP_7B}")


def test_the_user_may_say_which_system_it_is(tmp_path: Path) -> None:
    found = reproduce([v7w(tmp_path, 0.83, "mine")], system="gpt4roi-7b")
    [one] = found.comparisons
    assert (one.published.value, one.verdict) == (81.83, "outside")
    assert differing(one) == {"checkpoint": ("mine, taken for it by --system", "GPT4RoI-7B")}
    # The model's own numbers are not looked for then.
    found = reproduce([v7w(tmp_path, 0.861)], system="ViP-LLaVA-13B")
    assert {each.published.value for each in found.comparisons} == {88.28, 87.9, 87.91}


def test_an_unknown_system_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"no published number is about it; did you mean 'ViP-LLaVA"):
        reproduce([v7w(tmp_path, 0.86)], system="ViP-LLaVA-7")


def test_a_task_without_published_numbers(tmp_path: Path) -> None:
    run = manifest(VIP_7B, {"pointqa_local": task_run("pointqa_local")})
    found = reproduce([save_rows(tmp_path, run, [row("pointqa_local", 0.5, 1)])])
    [left] = found.unlisted
    assert (left.n, found.comparisons) == (0, ())
    assert "no published number is known for this task" in details(found)[0]


# --- what cannot be compared


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"task": {"synthetic": True}}, "synthetic", "the data are synthetic"),
        ({"row": {"n": 100}}, "subset", "100 of 57,265 samples were asked"),
        (
            {"row": {"n": 56692, "n_errors": 573}},
            "missing",
            "573 of 57,265 samples have no answer",
        ),
        (
            {"row": {"n": 50000, "n_ungraded": 7265}},
            "missing",
            "7,265 of 57,265 samples have no grade",
        ),
        (
            {"row": {"n": 50, "n_expected": 50}},
            "samples",
            "the task has 50 samples, published for 57,265",
        ),
        ({"row": {"metric": "lenient"}}, "metric", "scored by lenient, published is text_match"),
        (
            {"row": {"style": "none"}, "task": {"headline": "none"}},
            "style",
            "the run has style none, published is official_rectangles",
        ),
    ],
)
def test_what_makes_a_number_not_comparable(
    tmp_path: Path, fields: dict[str, Any], code: str, said: str
) -> None:
    one = published(reproduce([v7w(tmp_path, 0.8609, **fields)]), 86.09)
    assert one.verdict == "not comparable"
    assert codes(one) == [code]
    assert said in one.reasons[0].text
    assert (one.points is None) == (code in ("synthetic", "metric"))


@pytest.mark.parametrize(
    ("row", "what", "said"),
    [
        ({"n": 57262, "n_errors": 3}, "missing", "3 of 57,265 samples have no answer"),
        ({"n": 57263, "n_ungraded": 2}, "missing", "2 of 57,265 samples have no grade"),
        ({"n": 57000, "n_expected": 57000}, "samples", "57,000 samples"),
    ],
)
def test_a_few_samples_more_or_less_are_a_difference(
    tmp_path: Path, row: dict[str, Any], what: str, said: str
) -> None:
    one = published(reproduce([v7w(tmp_path, 0.8609, row=row)]), 86.09)
    assert (one.verdict, one.reasons) == ("reproduced", ())
    assert [each.run for each in one.differences if each.what == what] == [said]


def test_all_reasons_are_given(tmp_path: Path) -> None:
    run = v7w(tmp_path, 0.5, task={"synthetic": True}, row={"n": 90, "n_errors": 10})
    assert codes(published(reproduce([run]), 86.09)) == ["synthetic", "subset", "missing"]


def test_what_stands_in_the_way_is_said_of_unlisted_numbers_too(tmp_path: Path) -> None:
    run = v7w(tmp_path, 0.5, "oracle", task={"synthetic": True}, row={"n": 90})
    [left] = reproduce([run]).unlisted
    assert [reason.code for reason in left.reasons] == ["synthetic", "subset"]


def test_nothing_scored_is_not_outside(tmp_path: Path) -> None:
    one = published(reproduce([v7w(tmp_path, None, row={"n": 0, "n_errors": 57265})]), 86.09)
    assert (one.verdict, one.points) == ("not comparable", None)


def test_a_number_of_another_split_is_not_comparable(tmp_path: Path) -> None:
    found = reproduce([v7w(tmp_path, 0.249, "random")], system="Random choice")
    [one] = found.comparisons
    assert "split" in codes(one)
    assert one.reasons[0].text == "published for split val, the task reads test"


def test_what_the_registry_rules_out_is_not_comparable(tmp_path: Path) -> None:
    run = manifest(VIP_7B, {POINTQA: task_run(POINTQA, n_samples=5711)})
    found = reproduce([save_rows(tmp_path, run, [row(POINTQA, 0.713, 5711)])])
    one = published(found, 63.42)
    assert (one.verdict, codes(one)) == ("not comparable", ["published"])
    assert one.points == pytest.approx(71.3 - 63.42)
    assert {each.published.value for each in found.verdicts("reproduced")} == {71.31, 71.3}


def test_a_style_of_the_same_name_with_other_marks_is_not_comparable(tmp_path: Path) -> None:
    made = manifest(VIP_7B, {V7W: task_run(V7W, n_samples=57265)})
    [style] = made.identity.styles[V7W]
    for field, expected in (("alpha", ["style"]), ("title", [])):
        changed = style.model_copy(update={field: "x" if field == "title" else 255})
        identity = made.identity.model_copy(update={"styles": {V7W: (changed,)}})
        run = made.model_copy(update={"identity": identity})
        folder = save_rows(tmp_path / field, run, [row(V7W, 0.861, 57265)])
        assert codes(published(reproduce([folder]), 86.09)) == expected


def test_the_published_style_is_taken_where_the_run_has_several(tmp_path: Path) -> None:
    made = manifest(VIP_7B, {V7W: task_run(V7W, n_samples=57265, headline="none")})
    rows = [row(V7W, 0.3, 57265, style="none"), row(V7W, 0.861, 57265)]
    one = published(reproduce([save_rows(tmp_path, made, rows)]), 86.09)
    assert one.ours is not None
    assert (one.ours.style, one.verdict) == ("official_rectangles", "reproduced")


# --- the judge


def judged(folder: Path, metric: str = "judge", **facts: Any) -> Path:
    """Write a run of ViP-Bench with its capabilities, and `judge.json` where `facts` are given."""
    task = "vip_bench_bbox"
    made = manifest(VIP_7B, {task: task_run(task, n_samples=303)})
    rows = [
        row(task, 0.48, 303, 0.04, metric=metric),
        row(task, 0.55, 240, 0.04, metric=metric, group="capability=rec"),
        row(task, 0.20, 88, 0.04, metric=metric, group="capability=ocr"),
    ]
    if facts:
        files.write_json(folder / JUDGE, facts)
    return save_rows(folder, made, rows)


def zoo_bbox(found: Reproduction) -> Comparison:
    return next(each for each in found.comparisons if each.published.value == 48.4)


def test_grades_of_the_published_judge_are_compared(tmp_path: Path) -> None:
    run = judged(tmp_path, comparable=True, models_returned={"gpt-4-0613": 303}, n_runs=5, url="x")
    found = reproduce([run])
    assert (zoo_bbox(found).verdict, zoo_bbox(found).differences) == ("reproduced", ())
    quoted = published(found, 54.8, group="capability=rec")
    assert codes(quoted) == ["published"]
    assert quoted.points == pytest.approx(0.2)
    assert codes(published(found, 18.8, group="capability=ocr")) == ["published", "samples"]
    assert codes(published(found, 9.7, group="capability=math")) == ["published", "group"]
    assert [each.value for each in zoo_bbox(found).disagreeing] == [45.5]


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({}, "who graded is not known"),
        (
            {"comparable": False, "not_comparable": ["the prompt is vipbench's own rubric"]},
            "the prompt is vipbench's own rubric",
        ),
        ({"comparable": False, "model": "gpt-4-0613"}, "graded otherwise than published"),
        ({"comparable": True, "model": "gpt-9"}, "graded by gpt-9, published with gpt-4-0613"),
        (
            {"comparable": True, "models_returned": {"gpt-4-0613": 1, "gpt-9": 2}},
            "graded by gpt-4-0613, gpt-9",
        ),
        ({"comparable": True}, "graded by nobody known"),
    ],
)
def test_other_grades_are_not_comparable(tmp_path: Path, facts: Any, said: str) -> None:
    one = zoo_bbox(reproduce([judged(tmp_path, **facts)]))
    assert (one.verdict, codes(one)) == ("not comparable", ["judge"])
    assert said in one.reasons[0].text


def test_another_number_of_judge_runs_is_shown(tmp_path: Path) -> None:
    one = zoo_bbox(reproduce([judged(tmp_path, comparable=True, model="gpt-4-0613", n_runs=1)]))
    assert one.verdict == "reproduced"
    assert differing(one) == {"runs of the judge": ("1", "5")}


def test_the_proxy_is_not_the_judge(tmp_path: Path) -> None:
    one = zoo_bbox(reproduce([judged(tmp_path, "exact_proxy")]))
    assert (one.verdict, codes(one), one.points) == ("not comparable", ["metric"], None)
    text = "the run was scored by exact_proxy, published is judge by gpt-4-0613"
    assert one.reasons[0].text == text


def test_a_broken_judge_file_is_an_error(tmp_path: Path) -> None:
    run = judged(tmp_path, comparable="perhaps")
    with pytest.raises(RunError, match=r"judge\.json: comparable: .* judge the run again"):
        reproduce([run])


# --- what differs all the same


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"settings": {"prompt_format": "hf"}}, {"prompt format": ("hf", "llava_v1")}),
        ({"settings": {"dtype": "float32"}}, {"dtype": ("float32", "float16")}),
        ({"task": {"fit": "crop"}}, {"fit": ("crop", "pad")}),
        (
            {"task": {"fit": "crop"}, "row": {"n_marks_lost": 1200}},
            {"fit": ("crop, which loses a mark in 1,200 samples", "pad")},
        ),
        (
            {"settings": {"prompt_format": None, "dtype": None}},
            {
                "prompt format": ("not recorded", "llava_v1"),
                "dtype": ("not recorded", "float16"),
            },
        ),
        (
            {"identity": {"runner": "imported"}, "settings": {"prompt_format": None}},
            {
                "answers": (
                    "imported; prompt, fit, decoding and dtype are not known",
                    "made by the script",
                )
            },
        ),
        (
            {"task": {"version": 99}},
            {"task version": (f"{V7W} version 99", "version {}, the one of this vipbench")},
        ),
    ],
)
def test_a_difference_is_shown_and_does_not_decide(
    tmp_path: Path, fields: dict[str, Any], expected: dict[str, tuple[str, str]]
) -> None:
    fields["settings"] = {"decoding": "official"} | fields.get("settings", {})
    one = published(reproduce([v7w(tmp_path, 0.861, **fields)]), 86.09)
    assert one.verdict == "reproduced"
    current = task_run(V7W).version
    assert differing(one) == {
        what: (run, theirs.format(current)) for what, (run, theirs) in expected.items()
    }


def vcr(folder: Path, n_missing: int) -> Path:
    """Write a run of VCR under the published protocol."""
    parts = {name: task_run(name, n_samples=26534) for name in ("vcr_qa", "vcr_qar")}
    made = manifest(
        "mucai/vip-llava-7b-base-vcr-ft",
        parts | {VCR: task_run(VCR, n_samples=26534)},
        settings={"decoding": "official"},
    )
    rows = [row(VCR, 0.788, 26534, fit="squash")]
    if n_missing:
        rows += [
            row(VCR, 0.8, 26534 - n_missing, group="polygons=complete"),
            row(VCR, 0.5, n_missing, group="polygons=missing"),
        ]
    return save_rows(folder, made, rows)


def test_marks_that_the_official_code_cannot_draw_are_shown(tmp_path: Path) -> None:
    found = reproduce([vcr(tmp_path / "none", 0), vcr(tmp_path / "some", 1034)])
    none, some = [each for each in found.comparisons if each.published.value == 78.93]
    assert (none.verdict, differing(none)) == ("reproduced", {})
    assert differing(some) == {
        "polygons": (
            "1,034 samples have a mark drawn from a box for want of a polygon "
            "(80.00 % without them)",
            "random other questions in their places",
        )
    }


# --- seeds


def small_registry(n: int, value: float) -> list[Registry]:
    number = Published(
        system="One",
        models=("some/one",),
        task=V7W,
        split="test",
        metric="text_match",
        value=value,
        n=n,
        table=None,
        url=None,
        source="primary",
        protocol="official",
    )
    protocol = Protocol(text="As published", style="official_rectangles", decoding="official")
    return [
        Registry(
            title="One",
            splits={V7W: "test"},
            protocols={"official": protocol},
            numbers=(number,),
        )
    ]


def seeded(
    folder: Path, seed: int, values: list[float | None], model: str = "some/one", **fields: Any
) -> Path:
    made = manifest(
        model,
        {V7W: task_run(V7W, n_samples=len(values))},
        identity={"seed": seed, "requests": {V7W: f"{seed:064}"}},
        settings={"decoding": "official"},
    )
    return save_scores(folder, made, lines(V7W, values, **fields))


def test_runs_that_differ_by_their_seed_are_one_result(tmp_path: Path) -> None:
    scores: list[list[float | None]] = [
        [1, 1, 0, 1, 0, 1, 1, 1],
        [1, 0, 0, 1, 0, 1, 1, 1],
        [1, 1, 0, 1, 1, 1, 1, 0],
    ]
    runs = [seeded(tmp_path / str(seed), seed, each) for seed, each in enumerate(scores)]
    found = reproduce(runs, registry=small_registry(8, 70))
    [one] = found.comparisons
    means = [sum(each) / 3 for each in zip(*scores, strict=True)]
    expected = clustered_mean(means, [i // 2 for i in range(8)])
    assert one.ours is not None
    assert one.ours.accuracy == pytest.approx(expected.mean) == pytest.approx(17 / 24)
    assert (one.ours.ci_low, one.ours.ci_high) == pytest.approx((expected.ci_low, expected.ci_high))
    assert one.ours.by_seed == (0.75, 0.625, 0.75)
    assert one.ours.spread == pytest.approx(0.0721688)
    assert (one.seeds, one.runs) == ((0, 1, 2), tuple(map(str, runs)))
    assert (one.ours.n, one.verdict, one.differences) == (8, "reproduced", ())
    text = "\n".join(details(found))
    assert "70.83 ± 7.22 over 3 seeds (75.00, 62.50, 75.00)" in text


def test_a_sample_that_one_seed_lacks_is_missing(tmp_path: Path) -> None:
    runs = [
        seeded(tmp_path / "0", 0, [1, 1, 0, 1]),
        seeded(tmp_path / "1", 1, [1, 1, 0, None]),
    ]
    [one] = reproduce(runs, registry=small_registry(4, 70)).comparisons
    assert codes(one) == ["missing"]
    assert one.ours is not None
    assert (one.ours.n, one.ours.n_errors) == (3, 1)
    assert one.ours.accuracy == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    "other",
    [
        {"model": "some/one-else"},
        {"seed": 0},
        {"values": [1, 1, 0, 1, 1]},
        {"target": "B"},
    ],
)
def test_runs_that_differ_otherwise_are_not_averaged(tmp_path: Path, other: dict[str, Any]) -> None:
    given: dict[str, Any] = {"seed": 1, "values": [1, 1, 0, 1]} | other
    runs = [seeded(tmp_path / "0", 0, [1, 0, 0, 1]), seeded(tmp_path / "1", **given)]
    found = reproduce(runs, registry=small_registry(4, 70), everything=True)
    assert [each.runs for each in found.comparisons] == [(str(run),) for run in runs]


def test_a_run_given_twice_counts_once(tmp_path: Path) -> None:
    run = seeded(tmp_path / "0", 0, [1, 0, 0, 1])
    again = tmp_path / "elsewhere" / ".." / "0"
    (tmp_path / "elsewhere").mkdir()
    found = reproduce([run, again], registry=small_registry(4, 70))
    assert [each.seeds for each in found.comparisons] == [(0,)]


def test_groups_are_averaged_over_seeds_too(tmp_path: Path) -> None:
    task = "vip_bench_bbox"
    runs = []
    for seed, value in enumerate((0.4, 0.8)):
        made = manifest(VIP_7B, {task: task_run(task, n_samples=2)}, identity={"seed": seed})
        scores = [
            line(task, "v1_0", value, metric="judge", tags={"capability": ("rec",)}),
            line(task, "v1_1", 0.0, metric="judge", tags={"capability": ("ocr",)}),
        ]
        runs.append(save_scores(tmp_path / str(seed), made, scores))
    one = published(reproduce(runs), 54.8, group="capability=rec")
    assert one.ours is not None
    assert one.ours.accuracy == pytest.approx(0.6)
    assert one.ours.by_seed == (0.4, 0.8)


# --- what is printed and written


def test_a_narrow_terminal_loses_no_letter(tmp_path: Path) -> None:
    found = reproduce([v7w(tmp_path, 0.8579)], everything=True)
    console = Console(width=50, color_system=None)
    with console.capture() as capture:
        console.print(table(found))
    cells = [cell.split("│") for cell in capture.get().splitlines() if cell.startswith("│")]
    columns = ["".join(part.strip() for part in column) for column in zip(*cells, strict=True)]
    text = "".join(columns)
    assert "…" not in text
    for expected in (V7W, "ViP-LLaVA-7B", "GPT4RoI-13B", "85.79", "[85.49,", "reproduced"):
        assert expected.replace(" ", "") in text.replace(" ", "")


def test_files_hold_what_the_terminal_shows(tmp_path: Path) -> None:
    found = reproduce([v7w(tmp_path / "a_run", 0.87, row={"n_errors": 2000, "n": 55265})])
    paths = write(found, tmp_path / "out")
    assert [path.name for path in paths] == ["reproduce.json", "reproduce.md"]
    plain = json.loads(paths[0].read_text(encoding="utf-8"))
    assert Reproduction.model_validate(plain) == found
    assert plain["comparisons"][0]["verdict"] == "not comparable"
    assert plain["comparisons"][0]["reasons"][0]["code"] == "missing"
    text = paths[1].read_text(encoding="utf-8")
    assert "| visual7w_pointing | ViP-LLaVA-7B | 86.09 | 87.00 [86.70, 87.30] | +0.91 |" in text
    assert "- because: 2,000 of 57,265 samples have no answer" in text
    assert "- disagrees: 86.6 (ViP-LLaVA-7B): primary, Study on LLM backbones, Table 2," in text
    assert "- published protocol: The released ViP-LLaVA script" in text
    assert "13 published numbers of other systems not listed" in text
    assert text.splitlines()[2] == "No published number is comparable with what was run."


def test_the_summary_counts_verdicts(tmp_path: Path) -> None:
    found = reproduce([v7w(tmp_path, 0.8532)])
    assert summary(found) == ("Of 2 comparable published numbers, 1 reproduced, 1 outside.")


def test_a_run_that_has_not_ended_is_an_error(tmp_path: Path) -> None:
    run = v7w(tmp_path, 0.86)
    (run / SUMMARY).unlink()
    with pytest.raises(RunError, match="the run has not ended"):
        reproduce([run])
