"""Several runs together: what is summed up, and what is left out with a reason."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.analysis.sweep.made import make, two
from vipbench.analysis.sweep.overview import sweep
from vipbench.analysis.sweep.text import tables
from vipbench.files import write_json
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import JUDGE, SCORES, SUMMARY


def test_a_run_counts_once_and_alone_has_no_order(tmp_path: Path) -> None:
    [first, second] = two(tmp_path, [5, 5])
    both = sweep([first, second, first])
    assert [row.model for row in both.styles] == ["A", "A", "B", "B"]
    assert len(both.orders) == 1
    alone = sweep([first, first])
    assert alone.styles == both.styles[:2]
    assert (alone.orders, alone.ranks, alone.notes) == ((), (), ())


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda folder: make(folder, "A", {"official_rectangles": [1, 0]}), "are both of model A"),
        (
            lambda folder: make(folder, "B", {"official_rectangles": [1, 0, 1]}),
            "hold different samples",
        ),
    ],
)
def test_the_order_of_runs_that_cannot_stand_side_by_side_is_not_shown(
    tmp_path: Path, other: Callable[[Path], Path], said: str
) -> None:
    first = make(tmp_path / "a", "A", {"official_rectangles": [1, 0]})
    found = sweep([first, other(tmp_path / "b")])
    assert (found.orders, found.ranks) == ((), ())
    assert found.notes[0].startswith("visual7w_pointing: the order of the models is not shown")
    assert found.notes[0].endswith(said)
    assert str(tmp_path) not in found.notes[0]
    labels = {row.model for row in found.styles}
    assert len(labels) == 2
    assert all(label in found.notes[0] for label in labels)


def change(run: Path, weights: str | None = None, **identity: object) -> Path:
    """Give a run other weights, or another identity."""
    made = manifests.read(run)
    settings = made.identity.settings.model_copy(update={"weights": weights} if weights else {})
    changes = {"settings": settings, **identity}
    manifests.write(
        run, made.model_copy(update={"identity": made.identity.model_copy(update=changes)})
    )
    return run


def test_models_of_one_name_are_two_models(tmp_path: Path) -> None:
    values = {"official_rectangles": [1.0, 0.0], "arrow:red": [1.0, 1.0]}
    one = make(tmp_path / "a", "checkpoint-500", values)
    other = change(make(tmp_path / "b", "checkpoint-500", values), weights=64 * "e")
    found = sweep([one, other])
    names = ["checkpoint-500 (weights aaaaaaaa)", "checkpoint-500 (weights eeeeeeee)"]
    assert list(dict.fromkeys(row.model for row in found.styles)) == names
    assert [row.model for row in found.ranks] == names
    assert (found.orders[0].first, found.orders[0].second) == (names[0], names[1])
    for rows in (found.styles, found.ranks):
        listed = [(row.name, row.step, row.weights) for row in rows]
        assert list(dict.fromkeys(listed)) == [
            ("checkpoint-500", 500, "aaaaaaaa"),
            ("checkpoint-500", 500, "eeeeeeee"),
        ]


def test_runs_of_one_model_have_tables_of_their_own(tmp_path: Path) -> None:
    values = {"official_rectangles": [1.0, 0.0]}
    found = sweep(
        [make(tmp_path / "a", "A", values), change(make(tmp_path / "b", "A", values), seed=1)]
    )
    protocol = "llava_v1, greedy, float16, seed"
    assert [row.model for row in found.styles] == [f"A ({protocol} 0)", f"A ({protocol} 1)"]
    assert len(list(tables(found))) == 2


def test_models_that_different_judges_graded_have_no_order(tmp_path: Path) -> None:
    runs = [make(tmp_path / model, model, {"official_rectangles": [1, 0]}) for model in "AB"]
    for run, judge in zip(runs, ("gpt-4", "qwen"), strict=True):
        for name in (SCORES, SUMMARY):
            text = (run / name).read_text().replace("text_match", "judge")
            (run / name).write_text(text)
        write_json(run / JUDGE, {"judge": {"model": judge, "prompt_digest": 64 * "a"}})
    [note] = sweep(runs).notes
    assert note.endswith("were graded by different judges (gpt-4; qwen)")
