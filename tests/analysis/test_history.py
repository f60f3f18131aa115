"""Runs over the steps of a training: order, drops, kinds of mark, and what is refused."""

from pathlib import Path

import pytest

from tests.analysis.conftest import ARROW, ELLIPSE
from tests.analysis.test_pairs import HEADLINE, V7W, VCR, run
from tests.results import line
from vipbench.analysis.history import finished, history
from vipbench.analysis.pairs import read_side
from vipbench.errors import RunError
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.name_file import write_name
from vipbench.runfolder.summary import ALL
from vipbench.schema import PromptStyle

N = 160


def step(folder: Path, number: int | None, n_right: int, **fields: object) -> str:
    """Write a run in which the first samples are right; the first half have arrows."""
    scores = [
        line(
            V7W,
            f"q{i}",
            float(i < n_right),
            group=f"image{i // 2}",
            tags=ARROW if i < N // 2 else ELLIPSE,
        )
        for i in range(N)
    ]
    settings = {"weights": f"{n_right:x}".zfill(64)}
    text = run(folder, scores, model="vip", settings=settings)
    write_name(folder, step=number)
    return text


@pytest.fixture
def runs(tmp_path: Path) -> list[str]:
    """Steps 0 to 300, given out of order: up, then down below the start."""
    return [
        step(tmp_path / f"run-{number}", number, n_right)
        for number, n_right in ((300, 70), (0, 100), (200, 120), (100, 130))
    ]


def test_the_rows_are_in_the_order_of_steps_with_their_drops(runs: list[str]) -> None:
    found = history(runs)
    assert found.steps == (0, 100, 200, 300)
    whole, arrow, ellipse = found.series()
    assert [series[0].group for series in found.series()] == [ALL, "shape=arrow", "shape=ellipse"]
    assert [row.accuracy for row in whole] == [n / N for n in (100, 130, 120, 70)]
    assert all((row.ci_low or 1) < (row.accuracy or 0) < (row.ci_high or 0) for row in whole)
    assert [row.level for row in whole] == pytest.approx([None, 0.025, 0.05 / 6, 0.05 / 12])
    assert [row.dropped_from_start for row in whole] == [False, False, False, True]
    assert [row.best_step for row in whole] == [None, 0, 100, 100]
    assert [row.dropped_from_best for row in whole] == [False, False, False, True]
    assert whole[3].from_best == pytest.approx(-60 / N)
    assert [row.n for row in arrow] == [N // 2] * 4
    assert [row.dropped_from_start for row in ellipse] == [False, False, False, True]
    assert found.notes == ()


def test_p_values_are_adjusted_for_kinds_of_mark_apart_from_tasks(runs: list[str]) -> None:
    alone = history(runs, by=())
    whole, arrow, ellipse = history(runs).series()
    assert alone.series() == [whole]
    assert all(row.p_start is not None for row in (arrow[2], ellipse[2]))


def test_what_differs_beside_the_step_is_said(runs: list[str], tmp_path: Path) -> None:
    made = manifests.read(tmp_path / "run-200")
    settings = made.identity.settings.model_copy(update={"dtype": "bfloat16"})
    identity = made.identity.model_copy(update={"settings": settings})
    changed = made.model_copy(update={"identity": identity, "run_id": manifests.run_id(identity)})
    manifests.write(tmp_path / "run-200", changed)
    [note] = history(runs).notes
    assert note.endswith("run-200: differs: dtype: float16 → bfloat16")


def test_all_runs_of_the_same_weights_are_said_together(runs: list[str], tmp_path: Path) -> None:
    same = [step(tmp_path / f"run-{number}", number, 70) for number in (400, 1500)]
    twins = step(tmp_path / "elsewhere" / "run-500", 500, 100)
    assert list(history([*runs, *same, twins]).notes) == [
        f"{tmp_path}/run-0 and {twins}: have the same weights, at steps 0 and 500",
        f"{tmp_path}/run-300, run-400 and run-1500: have the same weights, at steps 300, 400 and "
        "1,500",
    ]


def test_another_style_than_the_start_s_is_said(tmp_path: Path) -> None:
    styles = {V7W: (PromptStyle(name=HEADLINE), PromptStyle(name="none", kind="none"))}
    folders = []
    for number, shown in ((0, HEADLINE), (100, "none")):
        scores = [
            line(V7W, f"q{i}", float(i < 30), group=f"{i}", style=style)
            for i in range(40)
            for style in (HEADLINE, "none")
        ]
        folder = tmp_path / f"run-{number}"
        settings = {"weights": f"{number + 1:x}".zfill(64)}
        run(folder, scores, model="vip", settings=settings, identity={"styles": styles})
        write_name(folder, step=number)
        folders.append(f"{folder}@{shown}")
    [note] = history(folders).notes
    assert f"the style differs, too: {HEADLINE} → none ({V7W})" in note


def test_one_run_alone_is_refused(runs: list[str]) -> None:
    with pytest.raises(RunError, match=r"run-300 alone · expected two or more runs.* · give the"):
        history(runs[:1])
    with pytest.raises(RunError, match="alone · expected two or more"):
        history([runs[0], runs[0]])


def test_two_runs_of_one_step_are_refused(runs: list[str], tmp_path: Path) -> None:
    other = step(tmp_path / "again", 200, 99)
    with pytest.raises(RunError, match=r"are both of step 200 · expected one run.* · leave one"):
        history([*runs, other])


def test_a_step_that_is_not_known_or_no_number_is_refused(runs: list[str], tmp_path: Path) -> None:
    other = step(tmp_path / "other", None, 99)
    with pytest.raises(RunError, match=r"other: the training step is not known · expected a step"):
        history([*runs, other])
    (tmp_path / "other" / "name.json").write_text('{"step": "six hundred"}')
    with pytest.raises(RunError, match=r"step 'six hundred': is a text · expected a whole number"):
        history([*runs, other])


def test_another_axis_is_refused(runs: list[str]) -> None:
    with pytest.raises(RunError, match=r"--by shapes: is not a breakdown.*'shape'"):
        history(runs, by=("shapes",))


def test_other_samples_are_refused(runs: list[str], tmp_path: Path) -> None:
    scores = [line(V7W, id_, 1.0, group="image0") for id_ in ("q0", "x")]
    other = run(tmp_path / "few", scores)
    write_name(tmp_path / "few", step=400)
    with pytest.raises(RunError, match="cannot be paired"):
        history([*runs, other])
    assert VCR not in {row.task for row in history(runs).rows}


def test_of_a_run_that_was_extended_the_samples_of_all_are_looked_at_and_that_is_said(
    runs: list[str], tmp_path: Path
) -> None:
    whole = history(runs).rows
    made = manifests.read(tmp_path / "run-200")
    scores = list(read_side(str(tmp_path / "run-200")).lines[V7W, "text_match"].values())
    scores += [line(V7W, f"more{i}", 1.0, group=f"more{i}", tags=ARROW) for i in range(9)]
    scores += [line(VCR, f"q{i}", 1.0, group=f"image{i}") for i in range(3)]
    settings = {"weights": made.identity.settings.weights}
    run(tmp_path / "run-200", scores, (V7W, VCR), model="vip", settings=settings)
    found = history(runs)
    assert [row.model_dump() for row in found.rows] == [row.model_dump() for row in whole]
    assert found.notes[-2:] == (
        f"{V7W}: on the {N} samples that all runs have; {tmp_path}/run-200 has {N + 9}",
        f"{VCR}: not shown: {tmp_path}/run-0, {tmp_path}/run-100, {tmp_path}/run-300 have no score "
        "of it",
    )


def test_a_folder_of_runs_stands_for_them(runs: list[str], tmp_path: Path) -> None:
    (tmp_path / "tensorboard").mkdir()
    said: list[str] = []
    assert finished([str(tmp_path)], said.append) == sorted(runs)
    assert finished(runs, said.append) == runs
    assert said == []
    with pytest.raises(RunError, match="nowhere"):
        finished(["nowhere"], said.append)
