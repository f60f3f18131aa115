"""`check` on data of our own (reader jsonl) and on the synthetic releases, whole and damaged."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.trials.made import pair, question, use_pickling_pool, write
from vipbench.demo.embedded import sources
from vipbench.errors import TaskError
from vipbench.schema import DataSource, Request
from vipbench.trials.check import CheckReport, check_tasks
from vipbench.trials.make import make_trials
from vipbench.trials.selection import select


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


def test_a_record_that_one_part_cannot_read_is_an_error_of_the_joint_task(
    released: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(sources(released)["vcr"].questions, tmp_path / "vcr"))
    path = next(folder.rglob("val.jsonl"))
    first, _, *rest = path.read_text(encoding="utf-8").splitlines()
    broken = json.loads(first) | {"rationale_label": None}
    path.write_text("\n".join([json.dumps(broken), "null", *rest]), encoding="utf-8")
    reports = check_tasks(["vcr_q2ar"], {"vcr": DataSource(folder, folder)})
    assert [(r.n_records, r.n_errors) for r in reports] == [(8, 1), (8, 2), (8, 2)]
    first_id = json.loads(first)["annot_id"]
    assert [(p.id, p.message) for p in reports[2].findings[0].first] == [
        (first_id, "cannot be read in vcr_qar"),
        ("val.jsonl line 2", "cannot be read in vcr_qa, vcr_qar"),
    ]


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


def of_kind(folder: Path, kind: str, *targets: str) -> None:
    spec = (folder / "own.yaml").read_text().replace("kind: choice", f"kind: {kind}")
    (folder / "own.yaml").write_text(spec.replace("\\n{choices}", ""))
    asked = (question(f"{i}", "a.png", answer=text) for i, text in enumerate(targets))
    write(folder, *({k: v for k, v in q.items() if k != "choices"} for q in asked))


def test_white_space_around_a_target_is_fine(own: Path) -> None:
    of_kind(own, "short_answer", "red ", "3\n", " red")
    assert run(own).n_errors == 0


def test_a_target_that_does_not_match_itself_is_an_error(own: Path) -> None:
    of_kind(own, "graded", "cat<AND>", "<OR>cat", "cat<OR>", "+ +", "<AND>", "100 %")
    assert counts(run(own))["target_unmatched"] == 2
    first = next(f for f in run(own).findings if f.code == "target_unmatched").first[0]
    assert first.id == "0"
    assert first.message.startswith("target 'cat<AND>': its own text 'cat ' is scored as wrong")


def test_marks_drawn_from_a_box_are_counted(own: Path) -> None:
    assert counts(run(own, "mask:red,rectangle:red")) == {"drawn_from_box": 3}


def test_each_of_several_images_is_opened_and_drawn(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("L", (30, 70)).save(own / "gray.png")
    (own / "torn.png").write_bytes((own / "gray.png").read_bytes()[:60])
    boxes = [[5, 5, 25, 60], [5, 5, 30, 30]]
    write(
        own,
        pair("good", "a.png", "gray.png", boxes),
        pair("again", "b.jpg", "gray.png", boxes),
        pair("torn", "a.png", "torn.png", boxes),
        pair("other way", "torn.png", "a.png", boxes[::-1]),
        pair("beyond", "a.png", "gray.png", [[5, 71, 25, 90], [5, 5, 9, 9]]),
        pair("away", "a.png", "../a.png", boxes),
    )
    report = run(own, "rectangle:red")
    assert report.n_images == 5
    assert counts(report) == {
        "bad_image": 2, "box_outside": 1, "unsafe_path": 1, "count": 1, "image_converted": 1,
    }  # fmt: skip
    messages = [each.message for finding in report.findings for each in finding.first]
    assert "gray.png: stored as L; converted to RGB" in messages
    assert sum("torn.png" in message for message in messages) == 2
    write(own, *(pair(f"{n}", "a.png", "b.jpg", [[5, 5, 9, 9]] * 2) for n in range(3)))
    drawn: list[tuple[str, int]] = []

    def draw(image: Image.Image, request: Request) -> tuple[Image.Image, list[None], list[None]]:
        drawn.append((request.image, len(request.visual_prompts)))
        return image, [], []

    monkeypatch.setattr("vipbench.trials.check.draw_request", draw)
    assert run(own, "rectangle:red").findings == ()
    assert drawn == [("a.png", 1), ("b.jpg", 1)] * 3


def test_what_is_drawn_is_what_a_run_asks(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    styles = "rectangle:red,wrong,shuffled,permuted"
    more = [question(f"q{n}", "a.png", box=[n, 5, n + 9, 30]) for n in range(4)]
    write(own, *more, question("bad", "nowhere.png"), question("other", "b.jpg"))
    source = DataSource(own / "own.jsonl", own)
    chosen = select(tasks=["own"], styles=styles, data={"own": source}, include=[own])
    trials, _ = make_trials(chosen, list, seed=0)
    asked = [trial.request for trial in trials if trial.request is not None]
    drawn: list[Request] = []

    def draw(image: Image.Image, request: Request) -> tuple[Image.Image, list[None], list[None]]:
        drawn.append(request)
        return image, [], []

    monkeypatch.setattr("vipbench.trials.check.draw_request", draw)
    assert counts(run(own, styles)) == {"missing_image": 1, "count": 1}

    def shown(requests: list[Request]) -> list[str]:
        return sorted(f"{r.style} {r.id} {r.turns} {r.visual_prompts}" for r in requests)

    assert shown(drawn) == shown(asked)
    assert len(drawn) == 4 * 5


def test_a_control_that_finds_nothing_is_a_finding(own: Path) -> None:
    write(own, question("q1", "a.png"), question("q2", "a.png"))
    report = run(own, "rectangle:red,shuffled")
    assert counts(report) == {"not_askable": 2, "count": 1}
    assert "style shuffled: sample 'q1': found no regions" in report.findings[0].first[0].message


def test_worker_processes_find_the_same(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = run(own, "mask:red")
    use_pickling_pool(monkeypatch)
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
