from pathlib import Path

import pytest

from tests.runs import make_joint, make_task
from tests.trials.made import choose, suite
from vipbench.errors import DataError, TaskError
from vipbench.schema import DataSource
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select

DATA = Path(__file__).parent.parent / "data"


def test_without_anything_else_a_task_is_asked_under_its_headline_style(tmp_path: Path) -> None:
    chosen = choose(make_task(tmp_path), "own")
    (task,) = chosen.tasks
    assert [style.name for style in task.styles] == ["demo"]
    assert (chosen.suite, task.headline, task.fit) == ("custom", "demo", "pad")


def test_a_suite_gives_tasks_and_styles_and_the_command_line_overrides(tmp_path: Path) -> None:
    suite(make_task(tmp_path), "tasks: [own]\nstyles: [demo_unseen, none]\nfit: squash\n")
    chosen = choose(tmp_path, suite="mine")
    assert [style.name for style in chosen.tasks[0].styles] == ["demo_unseen", "none"]
    assert (chosen.suite, chosen.tasks[0].headline) == ("mine", "demo_unseen")
    assert chosen.tasks[0].fit == "squash"
    other = choose(tmp_path, suite="mine", styles="blind,none")
    assert [style.name for style in other.tasks[0].styles] == ["blind", "none"]
    # Blind asks as the headline style does, though that itself is not asked.
    assert other.tasks[0].styles[0].shapes == ("triangle", "mask")
    assert other.tasks[0].headline == "blind"


@pytest.mark.parametrize(
    ("given", "of_suite", "of_task", "hint", "expected"),
    [
        ("crop", "squash", "pad", "pad", "crop"),
        (None, "squash", "pad", "crop", "squash"),
        (None, None, "squash", "crop", "squash"),
        (None, None, None, "crop", "crop"),
        (None, None, None, None, "pad"),
    ],
)
def test_the_first_fit_that_is_set_holds(
    tmp_path: Path, given: str, of_suite: str, of_task: str, hint: str, expected: str
) -> None:
    make_task(tmp_path)
    if of_task:
        path = tmp_path / "own.yaml"
        path.write_text(f"{path.read_text()}fit: {of_task}\n")
    suite(tmp_path, "tasks: [own]\n" + (f"fit: {of_suite}\n" if of_suite else ""))
    chosen = select(
        suite="mine",
        data={},
        include=[tmp_path],
        fit=given,  # type: ignore[arg-type]
        fit_hint=hint,  # type: ignore[arg-type]
    )
    assert chosen.tasks[0].fit == expected
    assert {
        trial.request.fit for trial in make_trials(chosen, list, seed=0)[0] if trial.request
    } == {expected}


def test_a_task_with_marks_in_its_images_takes_given_and_blind_only(tmp_path: Path) -> None:
    make_task(tmp_path)
    data = {"vip_bench": DataSource(DATA / "vip_bench", DATA / "vip_bench")}
    chosen = select(
        tasks=["own", "vip_bench_bbox"],
        styles="rectangle:red,given,blind,none",
        data=data,
        include=[tmp_path],
    )
    styles = {task.spec.name: [style.name for style in task.styles] for task in chosen.tasks}
    assert styles == {
        "own": ["rectangle:red", "blind", "none"],
        "vip_bench_bbox": ["given", "blind"],
    }
    assert [note.partition(",")[0] for note in chosen.notes] == [
        "own: style given left out",
        "vip_bench_bbox: styles rectangle:red",
    ]
    made, _ = make_trials(chosen, list, seed=0)
    given = [trial for trial in made if trial.task == "vip_bench_bbox"]
    assert all(not trial.request.visual_prompts for trial in given if trial.request)


def test_every_kind_of_style_but_given_suits_images_without_marks(tmp_path: Path) -> None:
    names = ["demo", "none", "named", "blind", "coordinates", "wrong", "shuffled", "permuted"]
    chosen = choose(make_task(tmp_path), "own", styles=",".join([*names, "given"]))
    assert [style.name for style in chosen.tasks[0].styles if style.name != "permuted"] == names[:7]


def test_nothing_left_to_ask_is_an_error() -> None:
    data = {"vip_bench": DataSource(DATA / "vip_bench", DATA / "vip_bench")}
    with pytest.raises(TaskError, match="no task is left to run: vip_bench_bbox"):
        select(tasks=["vip_bench_bbox"], styles="rectangle:red", data=data)


def test_a_joint_task_brings_its_parts_once(tmp_path: Path) -> None:
    chosen = choose(make_joint(tmp_path), "second", "both")
    assert [task.spec.name for task in chosen.tasks] == ["second", "first"]
    assert [joint.name for joint in chosen.joints] == ["both"]


def test_no_task_unknown_task_unknown_style_no_data(tmp_path: Path) -> None:
    make_task(tmp_path)
    with pytest.raises(TaskError, match="no task"):
        choose(tmp_path)
    with pytest.raises(TaskError, match="did you mean 'own'"):
        choose(tmp_path, "owm")
    with pytest.raises(TaskError, match="did you mean 'blind'"):
        choose(tmp_path, "own", styles="blnd")
    with pytest.raises(DataError, match="--data visual7w=DIR"):
        choose(tmp_path, "visual7w_pointing")


def test_all_data_that_are_missing_are_named_with_the_tasks_that_are_left() -> None:
    data = {key: DataSource(DATA / key, DATA / key) for key in ("visual7w", "vcr")}
    with pytest.raises(DataError) as said:
        select(suite="paper", data=data)
    assert str(said.value) == (
        "data 'pointqa', 'vip_bench': not found anywhere · known: visual7w, vcr · give --data "
        "KEY=DIR, the release's folder, for each, or `vipbench data fetch pointqa vip_bench`; "
        "`vipbench run --suite demo` has synthetic data of its own · or ask the others: --tasks "
        "vcr_q2ar,visual7w_pointing"
    )
    del data["vcr"]
    said_of_one = r"^data 'vcr': not .* · give --data vcr=DIR.*fetch vcr`; [^·]*$"
    with pytest.raises(DataError, match=said_of_one):
        select(tasks=["vcr_q2ar"], data=data)


@pytest.mark.parametrize("task", ["visual7w_pointing", "own"])
def test_a_key_of_data_that_no_task_uses_is_refused_before_others_are_missed(
    tmp_path: Path, task: str
) -> None:
    make_task(tmp_path)
    wrong = {key: DataSource(tmp_path, tmp_path) for key in ("visual7ww", "vcr", "own.jsonl")}
    with pytest.raises(
        DataError, match=r"^--data visual7ww: no task uses this key · did you mean 'visual7w'\?$"
    ):
        select(tasks=[task], data=wrong, include=[tmp_path])
    del wrong["visual7ww"]
    if task == "own":  # others' keys may be there, as in a file for several runs
        assert select(tasks=[task], data=wrong, include=[tmp_path]).tasks
    with pytest.raises(DataError, match=r"^--data own.jsonl: no task uses this key · known: "):
        select(tasks=["visual7w_pointing"], data=wrong)


@pytest.mark.parametrize("styles", ["", " ", ",", "demo,"])
def test_an_empty_style_is_not_the_default(tmp_path: Path, styles: str) -> None:
    with pytest.raises(TaskError, match="an empty style"):
        choose(make_task(tmp_path), "own", styles=styles)
