import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.runs import make_joint, make_task
from tests.trials.made import choose, suite
from vipbench.errors import DataError, TaskError
from vipbench.prompts.request import build_request
from vipbench.schema import Request, Sample, Trial
from vipbench.trials.make import TaskFacts, make_trials
from vipbench.trials.selection import Selection


def trials(
    selection: Selection, *, seed: int = 0, limit: int | None = None, ids: tuple[str, ...] = ()
) -> tuple[list[Trial], dict[str, TaskFacts]]:
    return make_trials(selection, list, seed=seed, limit=limit, ids=ids)


def edit(folder: Path, number: int, **changes: object) -> None:
    """Change the question in one line of the task `own`."""
    path = folder / "own.jsonl"
    lines = path.read_text().splitlines()
    lines[number] = json.dumps(json.loads(lines[number]) | changes)
    path.write_text("\n".join(lines) + "\n")


# --- which samples


def test_trials_come_task_by_task_style_by_style_in_the_order_of_the_data(tmp_path: Path) -> None:
    make_task(tmp_path, n=3)
    made, facts = trials(choose(tmp_path, "own", styles="demo,none"))
    names = [(trial.style, trial.id) for trial in made]
    assert names == [(style, f"q{i}") for style in ("demo", "none") for i in range(3)]
    assert (facts["own"].n_samples, facts["own"].n_asked) == (3, 3)
    first = made[0]
    assert first.request is not None
    assert (first.group, first.tags["parity"], first.tags["n_marks"]) == (
        "0.png",
        ("even",),
        ("1",),
    )


def test_a_limit_draws_the_same_samples_for_each_style_and_both_parts(tmp_path: Path) -> None:
    make_joint(tmp_path)
    chosen = choose(tmp_path, "both", styles="demo,none")
    made, facts = trials(chosen, limit=5)
    drawn = {(t.task, t.style): [u.id for u in made if (u.task, u.style) == (t.task, t.style)]
             for t in made}  # fmt: skip
    assert len(drawn) == 4
    (ids,) = {tuple(each) for each in drawn.values()}
    assert len(ids) == 5
    assert list(ids) == sorted(ids, key=lambda id_: int(id_[1:]))
    assert (facts["first"].n_samples, facts["first"].n_asked) == (12, 5)
    others = {tuple(t.id for t in trials(chosen, seed=s, limit=5)[0][:5]) for s in range(1, 6)}
    assert len(others) > 1
    larger = {trial.id for trial in trials(chosen, limit=8)[0]}
    assert set(ids) < larger


def test_a_suite_limits_its_tasks_to_the_same_samples_under_each_seed(tmp_path: Path) -> None:
    make_task(make_joint(tmp_path), "own")
    suite(tmp_path, "tasks: [both, own]\nlimits: {both: 5}\n")
    chosen = choose(tmp_path, suite="mine")
    made, facts = trials(chosen)
    assert {name: each.n_asked for name, each in facts.items()} == {
        "first": 5, "second": 5, "own": 20,
    }  # fmt: skip
    ids = [trial.id for trial in made if trial.task == "first"]
    assert ids == [trial.id for trial in made if trial.task == "second"]
    assert ids == [trial.id for trial in trials(chosen, seed=7)[0] if trial.task == "first"]


def test_the_users_limit_and_ids_go_before_the_suites(tmp_path: Path) -> None:
    suite(make_task(tmp_path), "tasks: [own]\nlimits: {own: 5}\n")
    chosen = choose(tmp_path, suite="mine")
    assert len(trials(chosen, limit=8)[0]) == 8
    ids = tuple(f"q{i}" for i in range(9))
    assert len(trials(chosen, ids=ids)[0]) == 9


def test_a_limit_beyond_the_data_takes_all(tmp_path: Path) -> None:
    make_task(tmp_path, n=3)
    assert len(trials(choose(tmp_path, "own"), limit=99)[0]) == 3


def test_ids_choose_samples_and_unknown_ones_are_named(tmp_path: Path) -> None:
    chosen = choose(make_task(tmp_path), "own")
    made, facts = trials(chosen, ids=("q7", "q2"))
    assert [trial.id for trial in made] == ["q2", "q7"]
    assert facts["own"].n_samples == 20
    with pytest.raises(DataError, match=r"--ids qq7: 1 of 2 ids .*did you mean 'q7'"):
        trials(chosen, ids=("qq7", "q2"))


def test_parts_with_other_ids_are_an_error(tmp_path: Path) -> None:
    chosen = choose(make_joint(tmp_path, 12, 11), "both")
    with pytest.raises(TaskError, match="both: first and second differ in 1 ids, such as q11"):
        trials(chosen)
    with pytest.raises(TaskError, match="differ"):
        trials(chosen, limit=1)


# --- what is wrong with them


def test_a_sample_that_cannot_be_asked_is_an_error_of_its_own(tmp_path: Path) -> None:
    make_task(tmp_path, n=8)
    edit(tmp_path, 1, image="gone.png")
    edit(tmp_path, 2, answer="E")
    edit(tmp_path, 3, box=[900, 900, 950, 950])
    edit(tmp_path, 4, image="../0.png")
    edit(tmp_path, 5, id="q0")
    edit(tmp_path, 6, box=[40, 20, 60, 30])
    (tmp_path / "0.png").write_bytes(b"no image")
    made, facts = trials(choose(tmp_path, "own", styles="demo,blind"))
    assert len(made) == 16
    assert len({(trial.style, trial.id) for trial in made}) == 16
    errors = {trial.id: trial.error for trial in made if trial.error is not None}
    assert sorted(errors) == ["q0", "q0#2", "q1", "q2", "q3", "q4"]
    assert all((trial.request is None) == (trial.error is not None) for trial in made)
    assert "gone.png" in str(errors["q1"])
    assert facts["own"].n_asked == 8
    assert len(facts["own"].errors) == 6
    assert facts["own"].problems["missing_image"] == 1
    assert facts["own"].problems["box_partly_outside"] == 1
    assert facts["own"].problems["duplicate_id"] == 1


def test_warnings_are_counted_for_the_samples_that_are_asked(tmp_path: Path) -> None:
    make_task(tmp_path, n=8)
    edit(tmp_path, 6, box=[40, 20, 60, 30])
    edit(tmp_path, 7, box=[40, 20, 60, 30])
    chosen = choose(tmp_path, "own")
    assert trials(chosen)[1]["own"].problems == {"box_partly_outside": 2}
    assert trials(chosen, ids=("q6", "q1"))[1]["own"].problems == {"box_partly_outside": 1}


def test_converted_images_and_marks_without_an_outline_are_counted(tmp_path: Path) -> None:
    make_task(tmp_path, n=10)
    Image.new("L", (48, 32), 90).save(tmp_path / "0.png")
    Image.new("P", (48, 32), 3).save(tmp_path / "1.png")
    facts = trials(choose(tmp_path, "own", styles="mask:red,rectangle:red,blind"))[1]["own"]
    assert facts.image_modes == {"0.png": "L", "1.png": "P"}
    assert facts.boxes_for_polygons == 10


def test_a_task_without_samples_is_an_error(tmp_path: Path) -> None:
    make_task(tmp_path)
    (tmp_path / "own.jsonl").write_text("\n")
    with pytest.raises(DataError):
        trials(choose(tmp_path, "own"))


def test_a_style_with_too_few_colors_names_the_task(tmp_path: Path) -> None:
    make_task(tmp_path)
    edit(tmp_path, 0, box=None, boxes=[[1, 1, 9, 9], [11, 11, 19, 19]])
    with pytest.raises(TaskError, match="own"):
        trials(choose(tmp_path, "own", styles="red_rectangle"))


# --- the digest


def test_the_digest_is_that_of_what_can_move_a_score(tmp_path: Path) -> None:
    def digest(seed: int = 0, styles: str = "demo") -> str:
        return trials(choose(tmp_path, "own", styles=styles), seed=seed)[1]["own"].digest

    make_task(tmp_path)
    first = digest()
    assert digest() == first
    edit(tmp_path, 0, answer="A")
    second = digest()
    edit(tmp_path, 0, answer="B")
    assert len({second, digest()}) == 2
    before = digest()
    edit(tmp_path, 0, question="What is not <r0>?")
    assert digest() != before
    before = digest()
    Image.new("RGB", (48, 32), (1, 2, 3)).save(tmp_path / "0.png")
    assert digest() != before
    assert digest(seed=1) != digest()
    assert digest(styles="none") != digest()


def test_a_problem_never_takes_the_id_of_a_sample(tmp_path: Path) -> None:
    make_task(tmp_path, n=5)
    for number, id_ in enumerate(["a", "a", "a#2", "a", "b"]):
        edit(tmp_path, number, id=id_)
    made, _ = trials(choose(tmp_path, "own"))
    assert [(trial.id, trial.request is None) for trial in made] == [
        ("a", False),
        ("a#3", True),
        ("a#2", False),
        ("a#4", True),
        ("b", False),
    ]


# --- what becomes of them


def test_facts_are_only_known_of_trials_that_were_all_taken(tmp_path: Path) -> None:
    chosen = choose(make_task(tmp_path, n=3), "own")
    with pytest.raises(ValueError, match="did not take all trials"):
        make_trials(chosen, next, seed=0)
    n, facts = make_trials(chosen, lambda made: sum(1 for _ in made), seed=0)
    assert (n, facts["own"].n_asked) == (3, 3)


def test_a_trial_is_taken_before_the_next_one_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def noted(sample: Sample, *arguments: Any, **options: Any) -> Request:
        made.append(sample.id)
        return build_request(sample, *arguments, **options)

    monkeypatch.setattr("vipbench.trials.make.build_request", noted)

    def keep(trials: Iterator[Trial]) -> list[int]:
        return [len(made) for _ in trials]

    assert make_trials(choose(make_task(tmp_path, n=3), "own"), keep, seed=0)[0] == [1, 2, 3]
