"""`check` on data of our own (reader jsonl) and on the synthetic releases, whole and damaged."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vipbench.demo import sources
from vipbench.demo.generate import make
from vipbench.errors import TaskError
from vipbench.images.draw import footprint
from vipbench.images.visibility import measure, view
from vipbench.schema import DataSource
from vipbench.trials import check
from vipbench.trials.check import CheckReport, VisibilityReport, check_tasks, check_visibility
from vipbench.trials.make import TaskFacts, make_trials
from vipbench.trials.selection import select

TASK = """\
name: own
version: 1
title: Our own
kind: choice
data: own
reader: jsonl
template: "{question}\\n{choices}"
styles: [red_rectangle]
reference: {samples: 3}
"""
Question = dict[str, object]
Q = (0.05, 0.5)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("released"), 8)


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Make a folder with a task, three questions, and the two images that they are about."""
    (tmp_path / "own.yaml").write_text(TASK)
    Image.new("RGB", (60, 40), "white").save(tmp_path / "a.png")
    Image.new("RGB", (60, 40), "gray").save(tmp_path / "b.jpg")
    write(tmp_path, question("q1", "a.png"), question("q2", "a.png"), question("q3", "b.jpg"))
    return tmp_path


def question(id_: str, image: str, **others: object) -> Question:
    fields: Question = {"id": id_, "image": image, "question": "What is <r0>?", "answer": "A"}
    return {**fields, "box": [5, 5, 30, 30], "choices": ["cat", "dog"], **others}


def write(folder: Path, *questions: Question) -> None:
    (folder / "own.jsonl").write_text("\n".join(map(json.dumps, questions)))


def run(folder: Path, styles: str | None = None) -> CheckReport:
    source = DataSource(folder / "own.jsonl", folder)
    [report] = check_tasks(["own"], {"own": source}, styles, [folder])
    return report


def counts(report: CheckReport) -> dict[str, int]:
    return {finding.code: finding.n for finding in report.findings}


def test_good_data_have_no_findings(own: Path) -> None:
    report = run(own)
    assert (report.n_records, report.n_images, report.findings) == (3, 2, ())
    assert report.styles == ("red_rectangle",)
    assert not report.synthetic


def test_all_problems_are_reported_at_once(own: Path) -> None:
    (own / "torn.png").write_bytes((own / "a.png").read_bytes()[:60])
    (own / "text.png").write_text("no image")
    Image.new("L", (60, 40)).save(own / "gray.png")
    write(
        own,
        question("good", "a.png"),
        question("good", "a.png"),
        question("missing", "nowhere.png"),
        question("torn", "torn.png"),
        question("text", "text.png"),
        question("gray", "gray.png"),
        question("inverted", "a.png", box=[30, 30, 5, 5]),
        question("outside", "a.png", box=[100, 100, 130, 130]),
        question("partly", "a.png", box=[50, 30, 80, 60]),
        question("no option", "a.png", answer="horse"),
        question("away", "../a.png"),
    )
    report = run(own)
    assert counts(report) == {
        "answer_not_in_options": 1,
        "bad_image": 2,
        "box_inverted": 1,
        "box_outside": 1,
        "duplicate_id": 1,
        "missing_image": 1,
        "unsafe_path": 1,
        "box_partly_outside": 1,
        "count": 1,
        "image_converted": 1,
    }
    assert (report.n_errors, report.n_warnings) == (8, 3)
    assert report.n_records == 11


def test_errors_come_first_and_five_of_a_code_are_shown(own: Path) -> None:
    outside = [question(f"q{i}", "a.png", box=[50, 30, 80, 60]) for i in range(9)]
    write(own, *outside, question("missing", "nowhere.png"))
    first, second, *_ = run(own).findings
    assert (first.code, first.warning, first.n) == ("missing_image", False, 1)
    assert (second.code, second.warning, second.n) == ("box_partly_outside", True, 9)
    assert [problem.id for problem in second.first] == ["q0", "q1", "q2", "q3", "q4"]


def test_a_broken_file_is_a_finding(own: Path) -> None:
    (own / "own.jsonl").write_text('{"id": "q1",\n')
    report = run(own)
    assert counts(report) == {"unreadable": 1}
    assert "own.jsonl:2:" in report.findings[0].first[0].message


def test_a_style_that_does_not_fit_is_a_finding_of_each_sample(own: Path) -> None:
    boxes = [[5, 5, 30, 30], [10, 10, 20, 20]]
    two = {"box": None, "boxes": boxes, "choices": ["<r0>", "<r1>"]}
    write(own, *(question(f"q{i}", "a.png", **two) for i in range(3)))
    assert counts(run(own)) == {"not_askable": 3}
    assert counts(run(own, "rectangle:red")) == {}


def test_marks_drawn_from_a_box_are_counted(own: Path) -> None:
    assert counts(run(own, "mask:red,rectangle:red")) == {"drawn_from_box": 3}


def test_worker_processes_find_the_same(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = run(own, "mask:red")
    monkeypatch.setattr(check, "SERIAL", 0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert run(own, "mask:red") == alone


def test_unknown_names_are_errors(own: Path) -> None:
    with pytest.raises(TaskError, match="did you mean 'own'"):
        check_tasks(["ovn"], {}, None, [own])
    with pytest.raises(TaskError, match="did you mean 'red_rectangle'"):
        run(own, "red_rectangel")


def test_data_that_are_nowhere_do_not_hide_the_next_task(own: Path) -> None:
    source = DataSource(own / "own.jsonl", own)
    missing, good = check_tasks(["vcr_qa", "own"], {"own": source}, None, [own])
    assert counts(missing) == {"no_data": 1}
    assert "--data vcr=DIR" in missing.findings[0].first[0].message
    assert good.findings == ()


def test_synthetic_releases_have_no_errors_and_no_wrong_count(released: Path) -> None:
    names = ["visual7w_pointing", "pointqa_looktwice", "vcr_q2ar", "vip_bench_drawn"]
    reports = check_tasks(names, sources(released))
    assert [report.task for report in reports] == [
        *("visual7w_pointing", "pointqa_looktwice", "vcr_qa", "vcr_qar", "vcr_q2ar"),
        "vip_bench_drawn",
    ]
    assert all(report.synthetic and report.findings == () for report in reports)
    assert all(report.n_records == 8 for report in reports)


def test_a_real_release_of_the_wrong_size_is_a_warning(released: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(released / "visual7w", tmp_path / "visual7w")
    (folder / "vipbench-synthetic.json").unlink()
    [report] = check_tasks(["visual7w_pointing"], {"visual7w": DataSource(folder, folder)})
    assert counts(report) == {"count": 1}
    assert report.findings[0].first[0].message == "8 records; the published number is 57,265"
    assert (report.n_errors, report.n_warnings) == (0, 1)


# --- what is left of the marks


def look(folder: Path, styles: str | None = None, **options: object) -> VisibilityReport:
    source = DataSource(folder / "own.jsonl", folder)
    [report] = check_visibility(["own"], {"own": source}, styles, [folder], **options)  # type: ignore[arg-type]
    return report


@pytest.fixture
def photos(own: Path) -> Path:
    """Make four questions about photos of 640 x 480 px: one mark lost by the crop, one cut."""
    Image.new("RGB", (640, 480), "white").save(own / "photo.png")
    write(
        own,
        question("lost", "photo.png", box=[5, 100, 60, 200]),
        question("cut", "photo.png", box=[60, 100, 99, 139]),
        question("first", "photo.png", box=[200, 100, 299, 199]),
        question("second", "photo.png", box=[300, 100, 399, 199]),
        question("missing", "nowhere.png"),
    )
    return own


def test_each_style_is_measured_under_all_fits(photos: Path) -> None:
    report = look(photos, "rectangle:red:width=0.6,none")
    assert (report.task, report.fit) == ("own", "pad")
    assert (report.n_records, report.n_unusable) == (5, 1)
    assert report.without_marks == ("none",)
    assert [row.fit for row in report.marks] == ["pad", "squash", "crop"]
    pad, squash, crop = report.marks
    for row in (pad, squash):
        assert (row.n_samples, row.n_marks, row.n_lost, row.n_cut) == (4, 4, 0, 0)
    assert (crop.n_marks, crop.n_lost, crop.n_cut, crop.n_samples_lost) == (4, 1, 1, 1)
    # Outlines of 310, 156, 396 and 396 px, at 0.525 px each; the crop keeps 0, 78, 396 and 396.
    assert pad.px == pytest.approx([np.quantile([310, 156, 396, 396], q) * 0.525**2 for q in Q])
    assert crop.px == pytest.approx([np.quantile([0, 78, 396, 396], q) * 0.7**2 for q in Q])
    # 100 px are x = 140 to 210 in 5 patches, y = 70 to 140 in 5: 16 around the middle; then
    # x = 154 to 224, the same; the cut one touches 2.
    assert crop.patches == pytest.approx([np.quantile([0, 2, 16, 16], q) for q in Q])


def test_one_fit_alone_and_other_squares(photos: Path) -> None:
    report = look(photos, "rectangle:red:width=0.6", fit="crop", size=480, patch_size=480)
    [crop] = report.marks
    assert (report.fit, crop.fit) == ("crop", "crop")
    assert crop.px[1] == np.median([0, 78, 396, 396])
    assert crop.patches[1] == 1


def test_of_a_blind_style_nothing_is_measured(photos: Path) -> None:
    assert look(photos, "blind").marks == ()


def test_a_sample_that_a_style_does_not_fit_is_counted_once(photos: Path) -> None:
    boxes = [[5, 5, 30, 30], [10, 10, 20, 20]]
    two = {"box": None, "boxes": boxes, "choices": ["<r0>", "<r1>"]}
    write(photos, question("one", "a.png"), question("two", "a.png", **two))
    report = look(photos, "red_rectangle")
    assert (report.n_records, report.n_unusable) == (2, 1)
    assert {row.n_samples for row in report.marks} == {1}


def test_worker_processes_measure_the_same(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = look(photos, "ellipse:red")
    monkeypatch.setattr(check, "SERIAL", 0)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert look(photos, "ellipse:red") == alone


def test_a_joint_task_is_measured_by_its_parts(released: Path) -> None:
    reports = check_visibility(["vcr_q2ar", "vcr_qa"], sources(released))
    assert [report.task for report in reports] == ["vcr_qa", "vcr_qar"]
    assert [report.fit for report in reports] == ["squash", "squash"]


def test_controls_are_measured_where_a_run_would_draw_them(photos: Path) -> None:
    shutil.copy(photos / "photo.png", photos / "other.png")
    with (photos / "own.jsonl").open("a") as file:
        for name, left in (("far", 5), ("near", 300)):
            more = question(name, "other.png", box=[left, 10, left + 60, 90])
            file.write("\n" + json.dumps(more))
    source = DataSource(photos / "own.jsonl", photos)
    for style in ("wrong", "shuffled"):
        chosen = select(tasks=["own"], styles=style, data={"own": source}, include=[photos])
        facts: dict[str, TaskFacts] = {}
        trials = list(make_trials(chosen, seed=0, limit=None, ids=(), facts=facts))
        requests = [trial.request for trial in trials if trial.request is not None]
        assert len(requests) == 6
        whole = view((640, 480), "crop", 336, 14)
        marks = [
            measure(footprint((640, 480), prompt), whole)
            for request in requests
            for prompt in request.visual_prompts
        ]
        crop = look(photos, style).marks[2]
        assert crop.n_lost == sum(mark.lost for mark in marks)
        assert crop.px == tuple(np.quantile([mark.fitted_px for mark in marks], Q))
