"""What makes a number incomparable with a run, and what only differs."""

from pathlib import Path
from typing import Any

import pytest

from tests.analysis.reproduce.made import (
    POINTQA,
    V7W,
    VCR,
    VIP_7B,
    VIP_13B,
    codes,
    differing,
    published,
    v7w,
)
from tests.results import manifest, row, save_rows, task_run
from vipbench import files
from vipbench.analysis.reproduce.records import Comparison, Reproduction
from vipbench.analysis.reproduce.verdicts import reproduce
from vipbench.errors import RunError
from vipbench.runfolder.folder import JUDGE


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
        ({"row": {"metric": "stated"}}, "metric", "scored by stated, published is text_match"),
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
        ({}, "who graded is unknown"),
        (
            {"comparable": False, "not_comparable": ["the prompt is vipbench's own rubric"]},
            "the prompt is vipbench's own rubric",
        ),
        ({"comparable": False, "model": "gpt-4-0613"}, "graded in another way than published"),
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
    with pytest.raises(
        RunError,
        match=r"judge\.json: comparable = 'perhaps' · expected true or false · judge the run again",
    ):
        reproduce([run])


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
                    "imported; prompt, fit, decoding and dtype are unknown",
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
            "1,034 samples have a mark drawn from a box for lack of a polygon "
            "(80.00 % without them)",
            "random other questions in their places",
        )
    }


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
