"""Scores are summed up to rows of metrics."""

import json

import pytest

from tests.small_runs import AXES, BLUE, RED, line, manifest, task
from vipbench.runfolder.summary import Group, Row, find_group
from vipbench.schema import Tags
from vipbench.scoring.summary import over_seeds, summarise


def test_rows_count_what_was_scored_and_what_was_not() -> None:
    lines = [
        line("1", 1.0),
        line("2", 0.0, group="1"),
        line("3", 0.0, answer=None),
        line("4", 1.0, truncated=True),
        line("5", None),
    ]
    row = summarise(manifest({"own": task(5)}), lines)[0]
    assert (row.n, row.n_expected, row.n_errors) == (4, 5, 1)
    assert (row.n_unparsed, row.n_truncated, row.n_clusters) == (1, 1, 3)
    assert row.accuracy == 0.5
    assert row.stderr is not None
    assert row.group == "all"


def test_a_subset_is_held_against_the_whole_task() -> None:
    rows = summarise(manifest({"own": task(5)}), [line("1", 1.0), line("2", 0.0)])
    assert rows[0].n_expected == 5
    assert {row.n_expected for row in rows[1:]} <= {1, 2}


def test_samples_with_marks_that_cannot_be_seen_are_counted_errors_or_not() -> None:
    lines = [
        line("1", n_marks_lost=2),
        line("2", n_marks_lost=1, n_marks_cut=3),
        line("3", None, n_marks_cut=1),
        line("4", n_marks_cut=1),
        line("5", n_marks_lost=0, n_marks_cut=0),
        line("6"),
    ]
    row = summarise(manifest({"own": task(6)}), lines)[0]
    assert (row.n_marks_lost, row.n_marks_cut) == (2, 3)


def test_answers_that_an_extractor_was_asked_about_are_counted() -> None:
    lines = [
        line("1", extracted="read"),
        line("2", extracted="read"),
        line("3", extracted="none"),
        line("4"),
    ]
    row = summarise(manifest({"own": task(4)}), lines)[0]
    assert (row.n_extractor_asked, row.n_extractor_read) == (3, 2)
    row = summarise(manifest({"own": task(1)}), lines[3:])[0]
    assert (row.n_extractor_asked, row.n_extractor_read) == (0, 0)


def test_agreement_is_the_share_of_the_answers_that_could_be_compared() -> None:
    lines = [line("1", agrees=True), line("2", agrees=False), line("3", agrees=True), line("4")]
    row = summarise(manifest({"own": task(4)}), lines)[0]
    assert row.agreement == pytest.approx(2 / 3)


def test_a_row_has_the_fields_that_others_read_in_their_order() -> None:
    row = summarise(manifest({"own": task(1)}), [line("1")])[0]
    expected = (
        "task, task_version, style, model, prompt_format, fit, decoding, dtype, seed, metric, "
        "group, n, n_expected, n_clusters, n_errors, n_unparsed, n_truncated, accuracy, stderr, "
        "ci_low, ci_high, synthetic, n_ungraded, n_marks_lost, n_marks_cut, agreement, "
        "margin, n_refused, n_filtered, n_answered, n_extractor_asked, n_extractor_read, state"
    )
    assert ", ".join(row.model_dump()) == expected
    assert (row.model, row.prompt_format, row.dtype, row.fit) == ("vip", "hf", "float32", "pad")


def test_each_metric_has_rows_of_its_own_the_headline_first() -> None:
    lines = [
        line(id_, value, metric=metric, tags=RED)
        for id_, strict in (("1", 1.0), ("2", 0.0))
        for metric, value in (("text_match", strict), ("stated", 1.0))
    ]
    rows = summarise(manifest({"own": task(2)}), lines)
    found = [(row.metric, row.n, row.accuracy) for row in rows if row.group == "all"]
    assert found == [("text_match", 2, 0.5), ("stated", 2, 1.0)]
    assert len(rows) == 2 * len([row for row in rows if row.metric == "stated"])


def test_an_answer_without_a_grade_is_neither_right_nor_wrong_nor_an_error() -> None:
    lines = [
        line("1", 1.0, metric="judge"),
        line("2", None, metric="judge", error=None, ungraded="prose"),
        line("3", None, metric="judge"),
    ]
    [row] = [r for r in summarise(manifest({"own": task(3)}), lines) if r.group == "all"]
    assert (row.n, row.accuracy, row.n_errors, row.n_ungraded) == (1, 1.0, 1, 1)


def test_the_spread_over_seeds() -> None:
    runs = [
        summarise(manifest({"own": task(4)}, seed=seed), [line(str(i), v) for i, v in values])
        for seed, values in ((3, [(0, 1.0), (1, 0.0)]), (4, [(0, 1.0), (1, 1.0)]), (5, [(0, None)]))
    ]
    [row] = over_seeds(runs)
    assert (row.task, row.metric, row.seeds) == ("own", "text_match", (3, 4, 5))
    assert row.accuracies == (0.5, 1.0, None)
    assert (row.mean, row.lowest, row.highest) == (0.75, 0.5, 1.0)
    assert row.sd == pytest.approx(0.5 / 2**0.5)


def test_where_nothing_was_scored_there_is_no_accuracy() -> None:
    row = summarise(manifest({"own": task(1)}), [line("1", None)])[0]
    assert (row.n, row.n_errors) == (0, 1)
    assert (row.accuracy, row.stderr, row.ci_low, row.ci_high) == (None,) * 4


def test_groups_are_the_axes_of_all_tasks_and_the_tasks_own_in_order() -> None:
    tags: list[Tags] = [
        RED | {"skill": ("ocr", "math"), "unlisted": ("x",)},
        BLUE | {"skill": ("ocr",)},
        RED | {"n_marks": ("2",), "color": ("mixed",)},
        {"skill": ("math",)},
    ]
    lines = [line(str(i), float(i % 2), tags=each) for i, each in enumerate(tags)]
    rows = summarise(manifest({"own": task(4, breakdown=(*AXES, "skill"))}), lines)
    assert {row.group: row.n for row in rows} == {
        "all": 4,
        "shape=rectangle": 2,
        "shape=ellipse": 1,
        "color=red": 1,
        "color=blue": 1,
        "color=mixed": 1,
        "size=small": 2,
        "size=large": 1,
        "n_marks=1": 1,
        "n_marks=2": 1,
        "n_marks=10": 1,
        "skill=math": 2,
        "skill=ocr": 2,
    }
    assert [row.group for row in rows] == list({row.group: 0 for row in rows})
    numbers = [row.group for row in rows if row.group.startswith("n_marks")]
    assert numbers == ["n_marks=1", "n_marks=2", "n_marks=10"]


def test_tasks_and_styles_keep_their_order_and_stay_apart() -> None:
    lines = [
        line("1", 1.0, task="b", style="demo"),
        line("1", 0.0, task="b", style="none"),
        line("1", 1.0, task="a", style="demo"),
    ]
    rows = summarise(manifest({"b": task(1), "a": task(1)}), lines)
    found = [(row.task, row.style, row.accuracy) for row in rows if row.group == "all"]
    assert found == [("b", "demo", 1.0), ("b", "none", 0.0), ("a", "demo", 1.0)]


AWKWARD = ("=cmd", "a=b", "a", "shape=x", "x,y", "line\nbreak", "run@style", "all")


def test_an_axis_may_hold_what_separates_it_from_its_values() -> None:
    tags: Tags = {axis: (f"{i}=1,2@3\n4",) for i, axis in enumerate(AWKWARD)}
    lines = [line("1", 1.0, tags=tags), line("2", 0.0, tags=tags)]
    rows = summarise(manifest({"own": task(2, breakdown=AWKWARD)}), lines)
    assert [row.group for row in rows] == ["all", *(f"{a}={tags[a][0]}" for a in AWKWARD)]
    assert {row.n for row in rows} == {2}
    groups = [find_group(row.group, AWKWARD) for row in rows[1:]]
    assert groups == [Group(axis, tags[axis][0]) for axis in AWKWARD]
    assert find_group("unlisted=1", AWKWARD) is None


def test_two_axes_whose_groups_are_written_alike_stay_two() -> None:
    lines = [line("1", 1.0, tags={"a": ("b=c",)}), line("2", 0.0, tags={"a=b": ("c",)})]
    rows = summarise(manifest({"own": task(2, breakdown=("a", "a=b"))}), lines)
    assert [(row.group, row.accuracy) for row in rows[1:]] == [("a=b=c", 1.0), ("a=b=c", 0.0)]


def test_every_sample_is_in_one_count_of_its_row() -> None:
    lines = [
        line("1", 1.0),
        line("2", 0.0, state="refused", answer=None),
        line("3", 0.0, truncated=True),
        line("4", None, state="filtered", error="withheld"),
        line("5", None),
        line("6", None, error=None, ungraded="prose"),
    ]
    [row] = [r for r in summarise(manifest({"own": task(6)}), lines) if r.group == "all"]
    assert (row.n_answered, row.n_refused, row.n_truncated) == (1, 1, 1)
    assert (row.n_filtered, row.n_errors, row.n_ungraded) == (1, 1, 1)
    assert row.n == row.n_answered + row.n_refused + row.n_truncated
    assert row.n_expected == row.n_asked
    assert Row.model_validate_json(row.model_dump_json()) == row
    assert '"n_filtered":1' in row.model_dump_json()


def test_rows_without_refusals_are_written_as_before() -> None:
    [row] = [r for r in summarise(manifest({"own": task(1)}), [line("1")]) if r.group == "all"]
    assert not {"n_refused", "n_filtered", "n_answered"} & json.loads(row.model_dump_json()).keys()
    assert row.n_answered == 1
