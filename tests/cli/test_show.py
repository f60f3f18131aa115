"""`vipbench show` as a user meets it."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.conftest import Vipbench
from tests.runs import make_pairs
from vipbench import files
from vipbench.demo.generate import make
from vipbench.images.load import load_measured
from vipbench.runfolder.folder import FILES, REQUESTS
from vipbench.schema import Trial


def test_show_prints_one_sample(vipbench: Vipbench, done: Path) -> None:
    code, out, err = vipbench("show", done, "val-1", "--task", "vcr_qa")
    assert code == 0
    trial = next(
        trial
        for trial in files.read_lines(done / REQUESTS, Trial)
        if (trial.task, trial.style, trial.id) == ("vcr_qa", "demo", "val-1")
    )
    assert trial.request
    assert trial.request.turns[0] in out
    assert f"answer   {trial.target!r}" in out
    assert "score    1 (text_match" in out
    assert "vcr_q2ar: 1 (text_match" in out
    assert "also under --style demo_unseen, none, blind" in err
    picture = done / "shown" / "vcr_qa-demo-val-1.png"
    assert f"picture  {picture}" in out
    with Image.open(picture) as image:
        assert image.mode == "RGB"


def test_show_wants_to_know_which(vipbench: Vipbench, done: Path) -> None:
    assert "expected vcr_qa or vcr_qar" in vipbench("show", done, "val-1", "--task", "vcr_q2ar").err
    assert "name one with --task" in vipbench("show", done, "val-1").err
    assert "did you mean 'vcr_qa'" in vipbench("show", done, "val-1", "--task", "vcr_qq").err
    assert "did you mean 'demo'" in vipbench("show", done, "val-1", "--style", "demoo").err
    assert "did you mean 'val-" in vipbench("show", done, "val-").err


def test_show_without_the_image(vipbench: Vipbench, tmp_path: Path) -> None:
    folder = make(tmp_path / "made", 2)
    option = f"vcr={folder / 'vcr'}"
    command = ("run", "--runner", "oracle", "--tasks", "vcr_qa", "--styles", "demo", "-o", "kept")
    assert vipbench(*command, "--data", option).code == 0
    for path in (folder / "vcr").rglob("*.png"):
        path.unlink()
    code, out, _ = vipbench("show", "kept", "val-1")
    assert code == 0
    assert "picture  none: " in out
    assert "answer   " in out


def test_show_does_without_a_picture_that_cannot_be_written(vipbench: Vipbench, done: Path) -> None:
    (done / "shown").write_text("in the way")
    code, out, _ = vipbench("show", done, "val-1", "--task", "vcr_qa")
    assert code == 0
    assert "picture  none: " in out
    assert "score    1" in out
    given = vipbench("show", done, "val-1", "--task", "vcr_qa", "-o", done / "shown" / "x.png")
    assert given.code == 2
    assert "cannot be written" in given.err


def test_show_takes_any_id_and_no_sign_steers_the_terminal(
    vipbench: Vipbench, tmp_path: Path
) -> None:
    (tmp_path / "own.yaml").write_text(
        "{name: own, version: 1, title: t, kind: short_answer, data: own, reader: jsonl, "
        "styles: [red_rectangle]}"
    )
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    long, ugly = "a" * 5000, "../a\x1b[2J\nb"
    question = {
        "image": "a.png",
        "question": "\x1b[1m<r0>?\nNow?",
        "box": [1, 1, 5, 5],
        "answer": "x",
    }
    lines = [json.dumps({"id": id_} | question) for id_ in (long, f"{long}b", ugly)]
    (tmp_path / "own.jsonl").write_text("\n".join(lines))
    own = ("--include", tmp_path, "--data", f"own={tmp_path}")
    assert vipbench("run", "--runner", "oracle", "--tasks", "own", *own, "-o", "done").code == 0
    for id_ in (long, f"{long}b", ugly):
        code, out, _ = vipbench("show", "done", id_)
        assert code == 0
        assert "\x1b" not in out
        assert "\\x1b[1mthe object within the red rectangle?\nNow?" in out
    assert "sample   ../a\\x1b[2J\\nb\n" in out
    pictures = sorted(path.name for path in Path("done", "shown").iterdir())
    assert len(pictures) == 3
    assert max(map(len, pictures)) < 200
    assert sorted(path.name for path in Path("done").iterdir()) == sorted((*FILES, "shown"))


def test_show_lays_the_images_of_a_question_side_by_side(
    vipbench: Vipbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pairs(tmp_path)
    own = ("--include", tmp_path, "--tasks", "own", "--styles", "demo", "-o", "pairs")
    assert vipbench("run", "--runner", "oracle", *own).code == 0
    code, out, _ = vipbench("show", "pairs", "pair-0")
    assert code == 0
    path = "pairs/shown/own-demo-pair-0.png"
    assert f"picture  {path} (2 images side by side)\n" in out
    [trial] = [t for t in files.read_lines(Path("pairs", REQUESTS), Trial) if t.id == "pair-0"]
    assert trial.request is not None
    first, second = load_measured(trial.request, tmp_path, None).each
    with Image.open(path) as sheet:
        shown = np.asarray(sheet)
    left, top = shown.shape[1] - first.shape[1], shown.shape[0] - second.shape[0]
    assert np.array_equal(shown[top : top + first.shape[0], : first.shape[1]], first)
    assert np.array_equal(shown[top:, left : left + second.shape[1]], second)
    assert (shown[:top] != 255).any()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    out = vipbench("show", "pairs", "pair-0").out
    assert 0 < out.index("image 1\n") < out.index("▀") < out.index("image 2\n") < out.rindex("▀")
    (tmp_path / "tall.png").unlink()
    assert "picture  none:" in vipbench("show", "pairs", "pair-0").out
