"""`vipbench check` as a user meets it."""

import errno
import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.conftest import Vipbench
from vipbench.demo.generate import make


def test_check_exits_0_on_good_data(vipbench: Vipbench, data: list[str]) -> None:
    code, out, err = vipbench("check", "visual7w_pointing,pointqa_local", *data)
    assert code == 0
    assert "visual7w_pointing: 6 records, 3 images" in out
    assert "0 errors" in out
    assert "warning drawn_from_box: 6" in out
    assert "(5 of 6 listed)" in out
    assert "error:" not in err


def test_texts_are_shown_as_they_are_sent(vipbench: Vipbench, tmp_path: Path) -> None:
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png")
    (tmp_path / "mine.yaml").write_text(
        "{name: mine, version: 1, title: Mine, kind: short_answer, data: mine.jsonl, reader: jsonl,"
        " styles: [red_rectangle, none]}"
    )
    asked = {"image": "a.png", "box": [5, 5, 30, 30], "answer": "red"}
    questions = ["What is <obj>?", "What is [0]?", "What is <r0>?", "Is \x1b[2J <r0> red?"]
    lines = [json.dumps({"question": question, **asked}) for question in questions]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines))
    options = ("--styles", "red_rectangle,none", "--include", str(tmp_path))
    code, out, _ = vipbench("check", "mine", *options)
    assert code == 0
    assert "0 errors, 5 warnings" in out
    assert "warning foreign_placeholder: 2\n    mine-1: style red_rectangle: '<obj>'" in out
    assert "sent as 'What is <obj>?\\nAnswer the question" in out
    assert "warning mark_not_mentioned: 2" in out
    assert "warning broken_text: 1" in out
    assert "\x1b" not in out


def test_check_exits_2_on_errors_and_lists_them(vipbench: Vipbench, tmp_path: Path) -> None:
    folder = make(tmp_path / "made", 4)
    for path in (folder / "visual7w").rglob("*.png"):
        path.unlink()
    option = f"visual7w={folder / 'visual7w'}"
    code, out, err = vipbench("check", "visual7w_pointing", "--data", option)
    assert code == 2
    assert "error missing_image: 4" in out
    assert err.splitlines()[-1] == "error: check: 4 errors; they are listed above, by code"


def test_data_that_this_user_may_not_read_are_one_line(
    vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    is_file = Path.is_file

    def forbidden(path: Path) -> bool:  # root, as which tests may run, reads everything
        if path.is_relative_to(tmp_path):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", forbidden)
    code, _, err = vipbench("check", "vcr_qa", "--data", f"vcr={tmp_path}")
    assert code == 2
    assert err.startswith(f"error: {tmp_path}")
    assert "Permission denied · get permission to read or write there" in err


# --- --visibility


TASK = """\
name: own
version: 1
title: Our own
kind: short_answer
data: own.jsonl
reader: jsonl
styles: [red_rectangle]
"""


@pytest.fixture
def own(tmp_path: Path) -> list[str]:
    """Make a task about a photo, and return the arguments that name it."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    Image.new("RGB", (640, 480), "white").save(folder / "photo.png")
    (folder / "own.yaml").write_text(TASK)
    boxes = {"left": [5, 100, 60, 200], "middle": [200, 100, 299, 199]}
    questions = [
        {"id": id_, "image": "photo.png", "question": "What is <r0>?", "answer": "A", "box": box}
        for id_, box in boxes.items()
    ]
    (folder / "own.jsonl").write_text("\n".join(map(json.dumps, questions)))
    return ["check", "own", "--include", str(folder)]


def test_the_fits_stand_side_by_side(vipbench: Vipbench, own: list[str]) -> None:
    code, out, _ = vipbench(*own, "--visibility", "--styles", "red_rectangle,none")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert out.splitlines()[1] == "own: 2 records"
    assert lines[2][:5] == ["style", "fit", "marks", "lost", "cut"]
    assert [line[:2] for line in lines[3:6]] == [
        ["red_rectangle", "pad"],
        ["red_rectangle", "squash"],
        ["red_rectangle", "crop"],
    ]
    assert "(the task's)" in out.splitlines()[3]
    assert lines[5][2:5] == ["2", "1", "0"]
    assert "style none: draws no marks" in out
    assert "warning" not in out


def test_lost_marks_are_a_warning(vipbench: Vipbench, own: list[str]) -> None:
    code, out, _ = vipbench(*own, "--visibility", "--fit", "crop", "--size", "224", "--patch", "32")
    assert code == 0
    assert out.startswith("What is left of each mark in a square of 224 px, in patches of 32 px\n")
    assert "red_rectangle  crop  2      1     0" in out
    assert out.splitlines()[-1] == (
        "  warning marks_lost: style red_rectangle, fit crop: in 1 of 2 samples a mark is lost · "
        "use --fit pad"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--fit", "crop"], "--fit crop: goes with --visibility only"),
        (["--size", "224"], "--size 224: goes with --visibility only"),
        (["--patch", "32"], "--patch 32: goes with --visibility only"),
        (["--visibility", "--patch", "337"], "--patch 337: expected at most --size, which is 336"),
        (["--visibility", "--size", "5000"], "--size"),
        (["--visibility", "--styles", "rectangle:bleu"], "did you mean 'blue'?"),
    ],
)
def test_options_that_do_not_go_together(
    vipbench: Vipbench, own: list[str], options: list[str], said: str
) -> None:
    code, out, err = vipbench(*own, *options)
    assert (code, out) == (2, "")
    assert said in err
