"""Suite `paper`: the published protocol of each task, as the files of the package state it."""

from pathlib import Path

import pytest

from vipbench import files
from vipbench.run.loop import run
from vipbench.run.settings import RunSettings
from vipbench.runfolder import trials_file
from vipbench.runfolder.folder import REQUESTS, SCORES
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.summary import ALL
from vipbench.runners.prompt_formats import SYSTEM, format_prompt, readable
from vipbench.schema import DataSource, Trial

DATA = Path(__file__).parent / "data"
LETTER = "\nAnswer with the option's letter from the given choices directly."
SHORT = "\nAnswer the question using a single word or phrase."
PUBLISHED = {
    # task: style, fit, new tokens, temperature of the official script, end of the text
    "visual7w_pointing": ("official_rectangles", "pad", 128, 0.2, LETTER),
    "pointqa_looktwice": ("red_rectangle", "pad", 128, 0.2, SHORT),
    "vcr_qa": ("official_points", "squash", 128, 0.2, LETTER),
    "vcr_qar": ("official_points", "squash", 128, 0.2, LETTER),
    "vip_bench_bbox": ("given", "pad", 1024, 0.0, ""),
    "vip_bench_human": ("given", "pad", 1024, 0.0, ""),
}
"""Sources: scripts/eval/, model_vqa_loader_vip.py, model_vqa.py of ViP-LLaVA at ab4e364."""


def paper(folder: Path, **fields: object) -> RunSettings:
    keys = ("visual7w", "pointqa", "vcr", "vip_bench")
    data = {key: DataSource(DATA / key, DATA / key) for key in keys}
    return RunSettings(suite="paper", data=data, runner="oracle", out=folder, **fields)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def trials(tmp_path_factory: pytest.TempPathFactory) -> list[Trial]:
    folder = tmp_path_factory.mktemp("paper")
    run(paper(folder, replay="official"))
    return list(trials_file.open_trials(folder / REQUESTS))


def test_each_task_is_asked_as_published(trials: list[Trial]) -> None:
    found = {}
    for trial in trials:
        request = trial.request
        assert request is not None
        _, _, _, _, end = PUBLISHED[trial.task]
        assert request.turns[0].endswith(end)
        found[trial.task] = (
            trial.style,
            request.fit,
            request.max_new_tokens,
            request.temperature,
            end,
        )
    assert found == PUBLISHED


def test_marks_are_drawn_as_published(trials: list[Trial]) -> None:
    shapes = {
        "visual7w_pointing": ("rectangle", 3),
        "pointqa_looktwice": ("rectangle", 3),
        "vcr_qa": ("point", 8),
        "vcr_qar": ("point", 8),
    }
    for trial in trials:
        assert trial.request is not None
        marks = trial.request.visual_prompts
        if trial.task not in shapes:
            assert marks == ()
            continue
        assert {(mark.shape, mark.width, mark.alpha) for mark in marks} <= {
            (*shapes[trial.task], 128)
        }
        if trial.task == "visual7w_pointing":
            assert len({mark.color for mark in marks}) == len(marks) == 4
        if trial.task == "pointqa_looktwice":
            assert [mark.color for mark in marks] == [(255, 0, 0)]
            assert "red" not in trial.request.turns[0]


def test_a_prompt_is_llava_v1_without_a_space_at_its_end(trials: list[Trial]) -> None:
    trial = next(t for t in trials if t.task == "pointqa_looktwice")
    assert trial.request is not None
    [text] = trial.request.turns
    assert readable(*format_prompt((text,), "llava_v1")) == (
        f"{SYSTEM} USER: <image>\n{text} ASSISTANT:"
    )
    assert SYSTEM == (
        "A chat between a curious human and an artificial intelligence assistant. "
        "The assistant gives helpful, detailed, and polite answers to the human's questions."
    )


def test_what_is_reported(tmp_path: Path) -> None:
    results = run(paper(tmp_path))
    assert results.manifest.replay is None
    metrics = {(row.task, row.metric) for row in results.rows}
    for task in ("visual7w_pointing", "pointqa_looktwice", "vcr_qa", "vcr_qar", "vcr_q2ar"):
        assert {(task, "text_match"), (task, "stated")} <= metrics
    assert ("vip_bench_bbox", "exact_proxy") in metrics
    groups = {(row.task, row.group.partition("=")[0]) for row in results.rows if row.group != ALL}
    asked = {"target_color", "size", "target_size", "n_marks", "position"}
    assert asked <= {axis for task, axis in groups if task == "visual7w_pointing"}
    assert not {axis for _, axis in groups} & {"shape", "color"}


def test_vcr_is_told_with_and_without_objects_that_have_no_polygon(tmp_path: Path) -> None:
    results = run(paper(tmp_path))
    rows = {
        row.group: row.n
        for row in results.rows
        if (row.task, row.metric) == ("vcr_qa", "text_match")
    }
    assert rows["polygons=complete"] + rows["polygons=missing"] == rows[ALL]
    assert rows["polygons=missing"] > 0
    lines = files.read_lines(results.path / SCORES, ScoreLine)
    flagged = {line.id for line in lines if line.tags.get("polygons") == ("missing",)}
    assert flagged
