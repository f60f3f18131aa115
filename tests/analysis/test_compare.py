import random
from pathlib import Path

import pytest
from statsmodels.stats.contingency_tables import mcnemar

from tests.analysis.conftest import ARROW, ELLIPSE
from tests.analysis.test_pairs import HEADLINE, V7W, VCR, run
from tests.results import line, lines
from vipbench.analysis.compare import compare
from vipbench.errors import RunError
from vipbench.files import write_json
from vipbench.runfolder.folder import JUDGE
from vipbench.runfolder.name_file import write_name
from vipbench.runfolder.summary import ALL
from vipbench.schema import PromptStyle


def test_a_row_has_difference_interval_and_flips(runs: tuple[str, str]) -> None:
    found = compare(runs)
    whole, arrow, ellipse = found.rows
    assert (whole.base, whole.new) == runs
    assert (whole.group, arrow.group, ellipse.group) == (ALL, "shape=arrow", "shape=ellipse")
    assert (whole.accuracy_base, whole.accuracy_new) == (70 / 80, 60 / 80)
    assert whole.difference == pytest.approx(-10 / 80)
    assert (whole.n, whole.n_clusters, whole.n_gained, whole.n_lost) == (80, 40, 2, 12)
    assert whole.ci_low is not None
    assert whole.ci_high is not None
    assert whole.ci_low < -10 / 80 < whole.ci_high
    assert whole.p_mcnemar == pytest.approx(mcnemar([[58, 12], [2, 8]], exact=True).pvalue)
    flip = found.flips[0]
    assert (flip.model_new, flip.name_base, flip.step_new, flip.weights_new) == (
        *("new", "base", None, "a" * 8),
    )
    assert (arrow.n, arrow.n_lost) == (40, 12)
    assert (ellipse.n, ellipse.n_gained) == (40, 2)
    assert found.notes == (f"{runs[0]} → {runs[1]}: model: base → new",)


def test_the_bootstrap_stands_beside_the_interval_of_whole_tasks(runs: tuple[str, str]) -> None:
    whole, arrow, _ = compare(runs).rows
    assert whole.boot_low == pytest.approx(whole.ci_low, abs=0.05)
    assert whole.boot_high == pytest.approx(whole.ci_high, abs=0.05)
    assert arrow.boot_low is None


def test_p_values_are_adjusted_for_tasks_and_for_groups_apart(tmp_path: Path) -> None:
    rng = random.Random(0)
    folders = []
    for name in ("a", "b", "c"):
        scores = [
            line(task, f"q{i}", float(rng.random() < share), tags=ELLIPSE if i % 2 else ARROW)
            for task, share in ((V7W, 0.6 if name == "a" else 0.4), (VCR, 0.5))
            for i in range(200)
        ]
        folders.append(run(tmp_path / name, scores, (V7W, VCR), model=name))
    rows = compare(folders).rows
    assert len(rows) == 12
    for group in (True, False):
        family = sorted(
            (row.p, row.p_holm)
            for row in rows
            if (row.group == ALL) is group and row.p is not None and row.p_holm is not None
        )
        assert family[0][1] == pytest.approx(len(family) * family[0][0])
        assert all(holm >= p for p, holm in family)


def test_groups_are_adjusted_together_whatever_they_are_called(tmp_path: Path) -> None:
    folders = []
    for name, lost in (("a", 0), ("b", 12)):
        scores = [
            line(V7W, f"q{i}", float(i >= lost), tags={"Age": ("old",) if i % 2 else ("new",)})
            for i in range(60)
        ]
        folders.append(run(tmp_path / name, scores, task={"breakdown": ("Age",)}))
    whole, *groups = compare(folders).rows
    assert [row.label for row in groups] == [f"{V7W}: Age=new", f"{V7W}: Age=old"]
    assert whole.p_holm == whole.p
    assert all(row.p_holm == pytest.approx(min(1, 2 * (row.p or 0))) for row in groups)


def test_errors_and_unparsed_answers_are_counted_apart(tmp_path: Path) -> None:
    base = [line(V7W, "a", 1), line(V7W, "b", None), line(V7W, "c", 0, answer=None)]
    new = [line(V7W, "a", None), line(V7W, "b", 1), line(V7W, "c", 0, answer=None)]
    new[0] = line(V7W, "a", None, error=None, ungraded="no grade")
    [row] = compare([run(tmp_path / "a", base), run(tmp_path / "b", new)]).rows
    assert (row.n, row.n_errors_base, row.n_errors_new) == (1, 1, 0)
    assert (row.n_unparsed_base, row.n_unparsed_new, row.n_ungraded_new) == (1, 1, 1)
    assert not row.reliable


def test_samples_of_one_run_alone_are_counted_once_for_a_task(tmp_path: Path) -> None:
    scores = [line(V7W, f"q{i}", 1.0, tags=ARROW if i % 2 else ELLIPSE) for i in range(8)]
    folders = [run(tmp_path / "a", scores[:-1]), run(tmp_path / "b", scores[2:])]
    rows = compare(folders, partial=True).rows
    assert [(row.group, row.n, row.n_base_only, row.n_new_only) for row in rows] == [
        (ALL, 5, 2, 1),
        ("shape=arrow", 2, 0, 0),
        ("shape=ellipse", 3, 0, 0),
    ]
    assert [row.label for row in rows] == [V7W, f"{V7W}: shape=arrow", f"{V7W}: shape=ellipse"]


def test_where_nothing_can_be_compared_the_row_says_so(tmp_path: Path) -> None:
    folders = [run(tmp_path / name, lines(V7W, [None, None])) for name in "ab"]
    found = compare(folders)
    [row] = found.rows
    assert (row.n, row.difference, row.p, row.p_holm) == (0, None, None, None)


def test_styles_of_one_run_are_compared_like_runs(tmp_path: Path) -> None:
    scores = lines(V7W, [1] * 30, ARROW) + lines(V7W, [0] * 30, style="none")
    styles = {V7W: (PromptStyle(name=HEADLINE), PromptStyle(name="none", kind="none"))}
    folder = run(tmp_path / "a", scores, identity={"styles": styles})
    whole, arrow = compare([folder, f"{folder}@none"]).rows
    assert (whole.style_base, whole.style_new, whole.difference) == (HEADLINE, "none", -1)
    assert (arrow.group, arrow.difference) == ("shape=arrow", -1)
    with pytest.raises(RunError, match="one run twice"):
        compare([folder, folder])
    with pytest.raises(RunError, match="expected two runs or more"):
        compare([folder])


def test_a_task_that_is_not_asked_under_a_style_is_named(tmp_path: Path) -> None:
    scores = lines(V7W, [1] * 4) + lines(V7W, [0] * 4, style="none") + lines(VCR, [1] * 4)
    styles = {
        V7W: (PromptStyle(name=HEADLINE), PromptStyle(name="none", kind="none")),
        VCR: (PromptStyle(name="official_points"),),
    }
    folder = run(tmp_path / "a", scores, (V7W, VCR), identity={"styles": styles})
    found = compare([folder, f"{folder}@none"])
    assert {row.task for row in found.rows} == {V7W}
    assert found.notes[-1] == f"{folder}@none: not compared: {VCR}"


def test_differences_come_first_and_are_in_the_rows(tmp_path: Path) -> None:
    base = run(tmp_path / "a", lines(V7W, [1, 0]))
    new = run(tmp_path / "b", lines(V7W, [1, 1]), settings={"prompt_format": "hf"})
    found = compare([base, new])
    title = f"{base} → {new}"
    assert found.differences == (
        f"{title}: differs: prompt_format: llava_v1 → hf",
        f"{title}: the two runs have the same weights (vip): what differs is prompt_format",
    )
    assert f"{title}: nothing else differs" in found.notes
    row = found.rows[0]
    assert [each.words for each in row.differences] == ["prompt_format: llava_v1 → hf"]
    assert row.same_weights


def test_models_of_one_name_have_one_name_in_all_rows(tmp_path: Path) -> None:
    runs = [
        run(tmp_path / letter, lines(V7W, [1, 0]), settings={"weights": 64 * letter})
        for letter in "ab"
    ]
    runs.append(run(tmp_path / "c", lines(V7W, [1, 0]), model="other"))
    rows = compare(runs).rows
    assert {(row.model_base, row.model_new) for row in rows} == {
        ("vip (weights aaaaaaaa)", "vip (weights bbbbbbbb)"),
        ("vip (weights aaaaaaaa)", "other"),
    }
    write_name(tmp_path / "b", "vip", 7)
    found = compare(runs)
    for row in found.rows:
        assert (row.name_base, row.name_new) in {("vip", "vip"), ("vip", "other")}
        assert (row.weights_base, row.step_base) == ("aaaaaaaa", None)
    assert {row.step_new for row in found.rows} == {7, None}
    assert found.rows[0].title.endswith("(vip (weights aaaaaaaa) → vip (weights bbbbbbbb))")


def test_grades_of_different_judges_are_not_subtracted(tmp_path: Path) -> None:
    def graded(name: str, model: str) -> str:
        scores = lines(V7W, [1, 0]) + lines(V7W, [1, 1], metric="judge")
        folder = run(tmp_path / name, scores)
        judge = {"model": model, "prompt_digest": 64 * "a"}
        write_json(tmp_path / name / JUDGE, {"judge": judge})
        return folder

    base, same, other = graded("a", "gpt-4"), graded("b", "gpt-4"), graded("c", "qwen")
    assert {row.metric for row in compare([base, same], metric="judge").rows} == {"judge"}
    with pytest.raises(RunError, match="the judge is gpt-4 in one, qwen in the other"):
        compare([base, other], metric="judge")
    with pytest.raises(RunError, match="the judge is qwen in one, gpt-4 in the other"):
        compare([other, base], metric="judge")
    assert {row.metric for row in compare([other, base]).rows} == {"text_match"}
    found = compare([base, other])
    assert f"{base} → {other}: differs: judge: gpt-4 → qwen" in found.differences
    assert {row.metric for row in found.rows} == {"text_match"}


def test_a_group_whose_name_sorts_before_all_has_no_bootstrap(tmp_path: Path) -> None:
    folders = [
        run(
            tmp_path / name,
            [line(V7W, f"q{i}", float(i < n), tags={"age": ("old",)}) for i in range(8)],
            task={"breakdown": ("age",)},
        )
        for name, n in (("a", 6), ("b", 4))
    ]
    rows = {row.group: row for row in compare(folders).rows}
    assert rows[ALL].boot_low is not None
    assert rows["age=old"].boot_low is None
