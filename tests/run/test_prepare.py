"""What is known, and found to be wrong, before a model is loaded."""

from pathlib import Path
from typing import Any

import pytest

from tests.run.asking import files, rows, said, with_model
from tests.runs import make_pairs, make_task, settings
from vipbench.demo.embedded import CHECKPOINT
from vipbench.errors import RunError, RunnerError, TaskError, TooManyErrors
from vipbench.run.loop import run
from vipbench.runfolder import answers_file
from vipbench.runfolder.folder import RESPONSES
from vipbench.runners.spec import ONE_IMAGE
from vipbench.runners.vipllava import sizing
from vipbench.schema import DataSource
from vipbench.trials.check import check_tasks


def spoil(folder: Path, number: int) -> None:
    """Cut an image in the middle: its header is whole, decoding fails."""
    whole = (folder / f"{number}.png").read_bytes()
    (folder / f"{number}.png").write_bytes(whole[: len(whole) * 2 // 3])


def test_too_many_missing_images_end_it_before_the_model_is_loaded(tmp_path: Path) -> None:
    make_task(tmp_path)
    (tmp_path / "0.png").unlink()
    with pytest.raises(TooManyErrors, match=r"own: 4 of 20 samples .*4 missing_image.*0.png") as e:
        run(settings(tmp_path))
    assert e.value.exit_code == 3
    assert not (tmp_path / "run").exists()
    results = run(settings(tmp_path, max_errors=0.2))
    row = rows(results)["own", "demo"]
    assert (row.n, row.n_expected, row.n_errors) == (16, 20, 4)
    assert results.scores["value"].isna().sum() == 4


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"runner": "oracel"}, RunnerError, "did you mean 'oracle'"),
        ({"runner": "oracle", "model": "x"}, RunnerError, "takes no model"),
        ({"runner": "vipllava"}, RunnerError, "no model given"),
        ({"runner": "vipllava", "model": "no/such/folder"}, RunnerError, "does not exist"),
        ({"runner": "no.module:Class"}, RunnerError, r"'no\.module' cannot be imported"),
        ({"dtype": "flaot16"}, RunnerError, "did you mean 'float16'"),
        ({"device": "cuda:x"}, RunnerError, "device 'cuda:x' is unknown"),
        ({"tasks": ("owm",)}, TaskError, "did you mean 'own'"),
    ],
)
def test_mistakes_are_found_before_data_are_read_and_leave_nothing_behind(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fields: dict[str, object],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    make_task(tmp_path / "tasks")
    (tmp_path / "tasks" / "own.jsonl").write_text("{")
    for out in (tmp_path / "new" / "run", None):
        with pytest.raises(error, match=message):
            run(settings(tmp_path / "tasks", **({"out": out} | fields)))
    assert [path.name for path in tmp_path.iterdir()] == ["tasks"]


@pytest.mark.usefixtures("broken_runners")
def test_a_runner_is_not_built_for_data_that_cannot_be_asked(tmp_path: Path) -> None:
    make_task(tmp_path / "tasks")
    for image in (tmp_path / "tasks").glob("*.png"):
        image.unlink()
    with pytest.raises(TooManyErrors):
        run(settings(tmp_path / "tasks", runner="broken_runners:Buggy"))


def test_settings_that_a_runner_does_not_use_are_told(tmp_path: Path) -> None:
    make_task(tmp_path)
    _, messages = said(tmp_path, dtype="bf16", prompt_format="llava_v1")
    assert messages == ["runner tests.runs:Brightness: does not use --dtype, --prompt-format"]


def test_texts_that_look_wrong_are_told_and_counted(tmp_path: Path) -> None:
    make_task(tmp_path)
    questions = (tmp_path / "own.jsonl").read_text()
    (tmp_path / "own.jsonl").write_text(questions.replace("<r0>", "<obj>"))
    results, [message] = said(tmp_path, styles="demo,none")
    assert message.startswith("own: the texts of 20 samples may not say what they should (")
    assert "sent as" in message
    problems = results.manifest.tasks["own"].problems
    assert problems == {"foreign_placeholder": 20, "mark_not_mentioned": 20}
    make_task(tmp_path / "right")
    results, messages = said(tmp_path / "right")
    assert (results.manifest.tasks["own"].problems, messages) == ({}, [])


@pytest.mark.parametrize(
    "field",
    [{"limit": 0}, {"batch_size": 0}, {"batch_size": "many"}, {"max_errors": 2}, {"nonsense": 1}],
    ids=str,
)
def test_settings_out_of_range_are_one_line(tmp_path: Path, field: dict[str, object]) -> None:
    with pytest.raises(TaskError, match=next(iter(field))) as caught:
        settings(tmp_path, **field)
    assert "\n" not in str(caught.value)


def test_batches_hold_as_many_tokens_as_they_may(tmp_path: Path, checkpoint: Path) -> None:
    make_task(tmp_path, n=10)
    auto = run(with_model(tmp_path, checkpoint, batch_size="auto"))
    assert (auto.manifest.batch_size, auto.manifest.token_budget) == (None, sizing.CPU_TOKENS)
    lines = answers_file.read_responses(auto.path / RESPONSES).values()
    longest = max(line.n_prompt_tokens for line in lines)
    out = tmp_path / "given"
    fields: dict[str, Any] = {"batch_size": "auto", "token_budget": 3 * longest, "out": out}
    given = run(with_model(tmp_path, checkpoint, **fields))
    assert given.manifest.n_batches > auto.manifest.n_batches
    batches: dict[int, list[int]] = {}
    for line in answers_file.read_responses(given.path / RESPONSES).values():
        batches.setdefault(line.batch, []).append(line.n_prompt_tokens)
    assert len(batches) == given.manifest.n_batches
    assert max(len(each) * max(each) for each in batches.values()) <= 3 * longest
    assert files(given.path) == files(auto.path)
    alone = run(
        with_model(tmp_path, checkpoint, **fields | {"batch_size": 1, "out": tmp_path / "alone"})
    )
    assert alone.manifest.n_batches == 10
    with pytest.raises(RunError, match=rf"--token-budget {longest - 1}: is below the {longest}"):
        run(
            with_model(
                tmp_path, checkpoint, **fields | {"token_budget": longest - 1, "fresh": True}
            )
        )


def test_a_runner_that_counts_no_tokens_takes_no_budget_of_them(tmp_path: Path) -> None:
    make_task(tmp_path)
    with pytest.raises(RunnerError, match="--token-budget 9: runner oracle does not count tokens"):
        run(settings(tmp_path, runner="oracle", token_budget=9))


def test_hints_of_the_checkpoint_come_after_the_command_line(
    tmp_path: Path, checkpoint: Path
) -> None:
    make_task(tmp_path, n=1)
    hinted = tmp_path / "hinted"
    hinted.mkdir()
    for path in checkpoint.iterdir():
        (hinted / path.name).write_bytes(path.read_bytes())
    (hinted / "vipbench.json").write_text('{"prompt_format": "llava_v1", "fit": "squash"}')
    row = rows(run(with_model(tmp_path, hinted)))["own", "demo"]
    assert (row.prompt_format, row.fit) == ("llava_v1", "squash")
    given = with_model(tmp_path, hinted, prompt_format="hf", fit="crop", out=tmp_path / "given")
    row = rows(run(given))["own", "demo"]
    assert (row.prompt_format, row.fit) == ("hf", "crop")


def test_a_path_that_a_runner_does_not_have_is_said(tmp_path: Path) -> None:
    done, messages = said(make_task(tmp_path), path="reference")
    assert "runner tests.runs:Brightness: does not use --path" in messages
    assert done.manifest.path is None


def test_tasks_whose_images_are_turned_are_part_of_the_identity(tmp_path: Path) -> None:
    task = make_task(tmp_path) / "own.yaml"
    before = run(settings(tmp_path, out=tmp_path / "before")).manifest
    task.write_text(f"{task.read_text()}\nexif: ignore\n")
    assert run(settings(tmp_path, out=tmp_path / "ignored")).manifest.run_id == before.run_id
    task.write_text(task.read_text().replace("ignore", "apply"))
    after = run(settings(tmp_path, out=tmp_path / "after")).manifest
    assert (before.identity.exif, after.identity.exif) == ({}, {"own": "apply"})
    assert after.run_id != before.run_id
    assert after.identity.requests == before.identity.requests
    with pytest.raises(RunError, match=r"EXIF orientation of own: none → apply"):
        run(settings(tmp_path, out=tmp_path / "before"))


def test_a_task_about_two_images_is_asked_of_whoever_takes_them(tmp_path: Path) -> None:
    make_pairs(tmp_path)
    [report] = check_tasks(["own"], {}, include=[tmp_path])
    assert (report.n_errors, report.n_images) == (0, 2)
    results = run(settings(tmp_path, runner="oracle", out=tmp_path / "oracle"))
    assert rows(results)["own", "demo"].accuracy == 1
    with pytest.raises(RunnerError, match=r"shows 2 images · expected one, .*several_images"):
        run(settings(tmp_path))
    results = run(settings(tmp_path, styles="demo,blind", runner="oracle", out=tmp_path / "blind"))
    assert len(rows(results)) == 2
    (tmp_path / "tall.png").unlink()
    [report] = check_tasks(["own"], {}, include=[tmp_path])
    assert [(each.code, each.n) for each in report.findings] == [("missing_image", 4)]


def refused(folder: Path, **fields: object) -> str:
    """Ask a runner that takes one image, and return what it says."""
    blink = Path(__file__).parent.parent / "data" / "blink"
    given = {"data": {"blink": DataSource(blink, blink)}, "runner": "vipllava", **fields}
    with pytest.raises(RunnerError) as told:
        run(settings(folder, model=str(CHECKPOINT), **given))
    return str(told.value)


def test_a_runner_of_one_image_is_told_all_tasks_that_show_several(tmp_path: Path) -> None:
    names = ("visual_correspondence", "relative_depth", "semantic_correspondence")
    tasks = tuple(f"blink_{name}" for name in names)
    assert refused(tmp_path, tasks=tasks, include=()) == (
        "blink_visual_correspondence: 4 questions show several images; "
        "blink_semantic_correspondence: 4 questions show several images · runner vipllava takes "
        f"{ONE_IMAGE} · ask with --runner hf or openai · or ask the others: --tasks "
        "blink_relative_depth"
    )


def test_a_runner_of_one_image_is_told_the_style_that_shows_two(tmp_path: Path) -> None:
    assert refused(make_task(tmp_path), styles="demo,crop+full") == (
        "own: 20 questions show several images under crop+full · runner vipllava takes "
        f"{ONE_IMAGE} · ask with --runner hf or openai · or leave the style out"
    )
