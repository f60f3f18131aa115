"""What crop, pad and squash leave of marks, on data of our own and on synthetic releases."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trials.made import pair, question, use_pickling_pool, write
from vipbench.demo.embedded import sources
from vipbench.images.draw import footprint
from vipbench.images.servers import RULES
from vipbench.images.visibility import measure, view
from vipbench.schema import DataSource
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select
from vipbench.trials.visibility import VisibilityReport, check_visibility

Q = (0.05, 0.5)


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


def test_each_mark_is_measured_in_its_own_image(photos: Path) -> None:
    Image.new("RGB", (480, 640), "white").save(photos / "tall.png")
    wide_box, tall_box = [5, 100, 60, 200], [100, 60, 139, 99]
    alone = (question("w", "photo.png", box=wide_box), question("t", "tall.png", box=tall_box))
    write(photos, *alone, question("gone", "nowhere.png"))
    one_by_one = look(photos, "rectangle:red:width=0.6")
    write(photos, pair("both", "photo.png", "tall.png", [tall_box, wide_box]))
    together = look(photos, "rectangle:red:width=0.6")
    for measured in ("marks", "servers"):
        found, expected = getattr(together, measured), getattr(one_by_one, measured)
        assert [row.px for row in found] == [row.px for row in expected]
        assert [row.n_marks for row in found] == [row.n_marks for row in expected]
    assert [(row.n_samples, row.n_lost, row.n_cut) for row in together.marks] == [
        (1, 0, 0), (1, 0, 0), (1, 1, 1),
    ]  # fmt: skip
    assert together.marks[2].n_samples_lost == 1
    # What a control cannot ask is counted; the others are measured as a run draws them.
    task = (photos / "own.yaml").read_text()
    (photos / "own.yaml").write_text(task.replace("red_rectangle", "demo"))
    report = look(photos, "demo,crop,wrong,shuffled")
    assert report.n_unusable == 1
    assert {row.style for row in report.marks} == {"demo", "crop", "wrong"}
    assert {row.n_marks for row in report.marks} == {2}


def test_an_image_that_is_shown_twice_is_measured_twice(photos: Path) -> None:
    [crop] = look(photos, "crop", fit="pad").marks
    [both] = look(photos, "crop+full", fit="pad").marks
    [whole] = look(photos, fit="pad").marks
    assert (crop.n_marks, both.n_marks, whole.n_marks) == (4, 8, 4)
    assert both.px[0] <= whole.px[1] < crop.px[1]


def test_of_a_style_that_suits_no_sample_it_is_not_said_that_it_draws_nothing(own: Path) -> None:
    write(own, pair("both", "a.png", "b.jpg", [[5, 5, 30, 30], [5, 5, 30, 30]]))
    report = look(own, "crop+full")
    assert (report.marks, report.without_marks) == ((), ())
    assert report.n_unusable == report.n_records


def test_worker_processes_measure_the_same(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = look(photos, "ellipse:red")
    use_pickling_pool(monkeypatch)
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
        trials, _ = make_trials(chosen, list, seed=0)
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


def test_usual_servers_shrink_the_image_that_they_are_sent(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = look(photos, "rectangle:red:width=0.6,none")
    low, high, claude = report.servers
    assert [row.rule.name for row in report.servers] == [rule.name for rule in RULES]
    assert {(row.style, row.n_marks) for row in report.servers} == {(low.style, 4)}
    # 640 x 480 px are shrunk by detail low alone, to 512 x 384.
    marks = [310, 156, 396, 396]
    assert high.px == claude.px == pytest.approx([np.quantile(marks, q) for q in Q])
    assert low.px == pytest.approx([np.quantile(marks, q) * 0.64 for q in Q])
    assert [row.n_small for row in report.servers] == [0, 0, 0]
    monkeypatch.setattr("vipbench.trials.visibility.SMALL", 100)
    thin = look(photos, "rectangle:red:width=0.6").servers
    assert [row.n_small for row in thin] == [1, 0, 0]  # 156 px are 99.84
