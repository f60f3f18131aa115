from pathlib import Path
from typing import Any

import pytest

from tests.results import line, lines, manifest, save_scores, task_run
from vipbench.analysis.pairs import differences, left_out_notes, pair_runs, read_side
from vipbench.errors import RunError
from vipbench.runfolder.lines import ScoreLine
from vipbench.schema import PromptStyle

V7W, VCR = "visual7w_pointing", "vcr_qa"
HEADLINE = "official_rectangles"


def run(
    folder: Path, scores: list[ScoreLine], tasks: tuple[str, ...] = (V7W,), **fields: Any
) -> str:
    """Write a finished run of some tasks; returns its folder as a user would give it."""
    runs = {task: task_run(task, breakdown=("shape", "n_marks")) for task in tasks}
    changes = fields.pop("task", {})
    runs = {task: each.model_copy(update=changes) for task, each in runs.items()}
    save_scores(folder, manifest(fields.pop("model", "vip"), runs, **fields), scores)
    return str(folder)


def test_samples_are_paired_by_id_whatever_their_order(tmp_path: Path) -> None:
    scores = lines(V7W, [1, 0, 1])
    base = read_side(run(tmp_path / "a", scores))
    new = read_side(run(tmp_path / "b", lines(V7W, [0, 1, 1])[::-1]))
    [found] = pair_runs(base, new)
    assert (found.task, found.metric, found.styles) == (V7W, "text_match", (HEADLINE, HEADLINE))
    assert [pair.values for pair in found.pairs] == [(1, 0), (0, 1), (1, 1)]
    assert all(pair.base.id == pair.new.id for pair in found.pairs)


def test_an_error_or_a_missing_grade_has_no_values_but_stays_in_the_pair(tmp_path: Path) -> None:
    ungraded = line(V7W, "q1", None, error=None, ungraded="the budget is spent")
    base = read_side(run(tmp_path / "a", [line(V7W, "q0", 1), ungraded]))
    new = read_side(run(tmp_path / "b", [line(V7W, "q0", None), line(V7W, "q1", 1)]))
    [found] = pair_runs(base, new)
    assert [pair.values for pair in found.pairs] == [None, None]


def test_a_style_is_named_behind_an_at_sign(tmp_path: Path) -> None:
    scores = lines(V7W, [1, 1]) + lines(V7W, [0, 1], style="none")
    styles = {V7W: (PromptStyle(name=HEADLINE), PromptStyle(name="none", kind="none"))}
    folder = run(tmp_path / "a", scores, identity={"styles": styles})
    [found] = pair_runs(read_side(folder), read_side(f"{folder}@none"))
    assert found.styles == (HEADLINE, "none")
    assert [pair.values for pair in found.pairs] == [(1, 0), (1, 1)]
    assert read_side(f"{folder}@none").name == f"{folder}@none"
    with pytest.raises(RunError, match="has no style 'nono' · did you mean 'none'"):
        read_side(f"{folder}@nono")


def test_a_style_may_have_an_at_sign_in_its_name(tmp_path: Path) -> None:
    scores = lines(V7W, [1, 1]) + lines(V7W, [0, 1], style="a@b")
    styles = {V7W: (PromptStyle(name=HEADLINE), PromptStyle(name="a@b"))}
    folder = run(tmp_path / "c@d", scores, identity={"styles": styles})
    side = read_side(f"{folder}@a@b")
    assert (str(side.folder), side.style) == (folder, "a@b")


def test_a_folder_may_have_an_at_sign_in_its_name(tmp_path: Path) -> None:
    assert read_side(run(tmp_path / "a@none", lines(V7W, [1]))).style is None


def test_groups_are_the_values_that_both_lines_share(tmp_path: Path) -> None:
    def tagged(id_: str, **tags: tuple[str, ...]) -> ScoreLine:
        return line(V7W, id_, 1, tags=tags)

    base = [
        tagged("a", shape=("ellipse",), n_marks=("10",)),
        tagged("b", shape=("arrow",), n_marks=("2",)),
        tagged("c", shape=("arrow", "point"), unlisted=("x",)),
        tagged("d", shape=("ellipse",)),
    ]
    new = [
        tagged("a", shape=("arrow",), n_marks=("10",)),
        tagged("b", shape=("arrow",), n_marks=("2",)),
        tagged("c", shape=("arrow", "point")),
        tagged("d"),  # as under a style that shows no marks
    ]
    [found] = pair_runs(read_side(run(tmp_path / "a", base)), read_side(run(tmp_path / "b", new)))
    groups = [(group.name, [pair.base.id for pair in pairs]) for group, pairs in found.by_group()]
    assert groups == [
        ("shape=arrow", ["b", "c"]),
        ("shape=ellipse", ["d"]),
        ("shape=point", ["c"]),
        ("n_marks=2", ["b"]),
        ("n_marks=10", ["a"]),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"task": {"version": 7}}, f"{V7W} is version .* in one, 7 in the other"),
        ({"task": {"synthetic": True}}, "synthetic data in one, real data in the other"),
        ({"scores": lines(V7W, [1, 1, 1])}, r"1 samples of .*, such as q2 \(2 and 3 samples\)"),
        ({"scores": lines(V7W, [1, 1], target="B")}, "another right answer, such as q0, q1"),
        ({"scores": [line(V7W, f"q{i}", 1) for i in (0, 1)]}, "have another image"),
        (
            {"scores": lines(V7W, [1, 1], metric="stated")},
            f"the metric of {V7W} is text_match in one, stated in the other",
        ),
        (
            {"tasks": (V7W, VCR), "scores": lines(V7W, [1, 1]) + lines(VCR, [1, 1])},
            f"tasks that only one of them has: {VCR}",
        ),
    ],
)
def test_what_cannot_be_paired_is_refused_with_the_difference(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    base = read_side(run(tmp_path / "a", lines(V7W, [1, 1])))
    new = read_side(run(tmp_path / "b", changes.pop("scores", lines(V7W, [1, 1])), **changes))
    with pytest.raises(RunError, match=f"cannot be paired: .*{reason}"):
        pair_runs(base, new)


def test_each_task_has_its_own_headline_metric(tmp_path: Path) -> None:
    scores = lines(V7W, [1], metric="stated") + lines(VCR, [1])
    side = read_side(run(tmp_path / "a", scores, (V7W, VCR)))
    assert (side.headline_metric(V7W), side.headline_metric(VCR)) == ("stated", "text_match")
    other = read_side(run(tmp_path / "b", lines(VCR, [1]) + scores[:1], (VCR, V7W)))
    assert (other.headline_metric(V7W), other.headline_metric(VCR)) == ("stated", "text_match")
    assert side.headline_metric("none") is None


def test_a_metric_that_both_have_is_named(tmp_path: Path) -> None:
    base = read_side(run(tmp_path / "a", [*lines(V7W, [1]), *lines(V7W, [1], metric="stated")]))
    only = lines(V7W, [1], metric="stated")
    with pytest.raises(RunError, match=r"stated in the other · `vipbench compare --metric stated`"):
        pair_runs(base, read_side(run(tmp_path / "b", only)))
    plain = read_side(run(tmp_path / "c", lines(V7W, [1])))
    with pytest.raises(RunError, match=r"is text_match in one, stated in the other$"):
        pair_runs(plain, read_side(run(tmp_path / "d", only)))
    with pytest.raises(RunError, match=r"is stated in one, text_match in the other$"):
        pair_runs(read_side(run(tmp_path / "e", only)), plain)


def test_overlap_in_part_is_for_the_asking(tmp_path: Path) -> None:
    base = read_side(run(tmp_path / "a", lines(V7W, [1, 1, 1])[1:]))
    both = lines(V7W, [0, 0]) + lines(VCR, [1])
    new = read_side(run(tmp_path / "b", both, (V7W, VCR)))
    with pytest.raises(RunError, match="`vipbench compare --partial` takes what both have"):
        pair_runs(base, new)
    [found] = pair_runs(base, new, overlap="any")
    assert [pair.base.id for pair in found.pairs] == ["q1"]
    assert (found.n_base_only, found.n_new_only) == (1, 1)


def test_a_run_that_holds_all_of_the_other_is_paired_on_that(tmp_path: Path) -> None:
    base = read_side(run(tmp_path / "a", lines(V7W, [1, 1])))
    grown = lines(V7W, [0, 1, 1]) + lines(VCR, [1])
    new = read_side(run(tmp_path / "b", grown, (V7W, VCR)))
    for one, other, counts in ((base, new, (0, 1)), (new, base, (1, 0))):
        [found] = pair_runs(one, other, overlap="one")
        assert [pair.base.id for pair in found.pairs] == ["q0", "q1"]
        assert (found.n_base_only, found.n_new_only) == counts
    assert left_out_notes(pair_runs(base, new, overlap="one")) == [
        f"{V7W}: on the 2 samples that both runs have; 1 more are in {tmp_path}/b alone"
    ]
    assert left_out_notes(pair_runs(base, base)) == []


def test_runs_of_which_each_holds_more_are_told_which_one_to_extend(tmp_path: Path) -> None:
    ids: dict[str, Any] = {"limit": None, "ids": ("q0", "q1")}
    base = read_side(run(tmp_path / "a", lines(V7W, [1, 1]), identity=ids))
    ids["ids"] = ("q1", "q2", "q3")
    new = read_side(run(tmp_path / "b", lines(V7W, [1, 1, 1, 1])[1:], identity=ids))
    with pytest.raises(
        RunError, match=r" · extend one of them: `vipbench run .* --ids q0 … -o .*b`"
    ):
        pair_runs(base, new, overlap="one")
    other = read_side(run(tmp_path / "c", lines(VCR, [1]), (VCR,)))
    with pytest.raises(RunError, match=rf"--extend --tasks {V7W} … -o .*c` \(…: its data and"):
        pair_runs(base, other, overlap="one")


def test_nothing_in_common_is_refused_even_in_part(tmp_path: Path) -> None:
    base = read_side(run(tmp_path / "a", lines(V7W, [1])))
    new = read_side(run(tmp_path / "b", lines(VCR, [1]), (VCR,)))
    with pytest.raises(RunError, match="only one of them has"):
        pair_runs(base, new, overlap="any")


def test_another_metric_is_taken_where_it_is_named(tmp_path: Path) -> None:
    scores = lines(V7W, [1, 0]) + lines(V7W, [1, 1], metric="stated")
    side = read_side(run(tmp_path / "a", scores))
    assert side.headline_metric(V7W) == "text_match"
    [found] = pair_runs(side, side, metric="stated")
    assert [pair.values for pair in found.pairs] == [(1, 1), (1, 1)]
    with pytest.raises(RunError, match="metric 'state' · did you mean 'stated'"):
        pair_runs(side, side, metric="state")


def test_permuted_options_may_have_another_right_letter(tmp_path: Path) -> None:
    scores = lines(V7W, [1, 1]) + lines(V7W, [0, 1], style="permuted", target="C")
    styles = {V7W: (PromptStyle(name=HEADLINE), PromptStyle(name="permuted", kind="permuted"))}
    folder = run(tmp_path / "a", scores, identity={"styles": styles})
    [found] = pair_runs(read_side(folder), read_side(f"{folder}@permuted"))
    assert len(found.pairs) == 2


def test_a_run_that_has_not_ended_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", lines(V7W, [1]))
    (tmp_path / "a" / "scores.jsonl").unlink()
    with pytest.raises(RunError, match="the run has not ended"):
        read_side(folder)
    with pytest.raises(RunError, match="nowhere: no such folder"):
        read_side(str(tmp_path / "nowhere"))


def test_scores_of_a_task_that_the_run_does_not_have_are_refused(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", lines(V7W, [1]))
    other = line(VCR, "q9", 1).model_dump_json()
    with (tmp_path / "a" / "scores.jsonl").open("a") as file:
        file.write(f"{other}\n")
    with pytest.raises(RunError, match="which is not a task of the run"):
        read_side(folder)


def test_differences_name_the_protocol_and_the_style_that_is_compared(tmp_path: Path) -> None:
    def style(**fields: Any) -> dict[str, Any]:
        styles = (PromptStyle(name=HEADLINE, **fields), PromptStyle(name="none", kind="none"))
        return {"styles": {V7W: styles}, "requests": {V7W: str(fields)}}

    base = read_side(run(tmp_path / "a", lines(V7W, [1]), identity=style()))
    other = run(
        tmp_path / "b",
        lines(V7W, [1]),
        model="other",
        identity=style(alpha=9),
        settings={"dtype": "bfloat16"},
    )
    assert differences(base, base) == []
    assert differences(base, read_side(other)) == [
        f"styles.{V7W}.{HEADLINE}.alpha: none → 9",
        "model: vip → other",
        "settings.dtype: float16 → bfloat16",
    ]
    assert "alpha" not in str(differences(base, read_side(f"{other}@none")))
