"""What people call a run: `name.json`."""

import json
from pathlib import Path

import pytest

from vipbench.errors import RunError
from vipbench.runfolder.folder import NAME
from vipbench.runfolder.name_file import Name, check_name, check_step, read_name, write_name


def test_a_run_that_nobody_has_named_has_no_file(tmp_path: Path) -> None:
    assert read_name(tmp_path) == Name()
    write_name(tmp_path)
    assert not (tmp_path / NAME).exists()


def test_what_is_not_said_anew_stays(tmp_path: Path) -> None:
    assert write_name(tmp_path, name="expA") == Name(name="expA")
    assert write_name(tmp_path, step=600) == Name(name="expA", step=600)
    assert read_name(tmp_path) == Name(name="expA", step=600)
    assert json.loads((tmp_path / NAME).read_text()) == {"name": "expA", "step": 600}
    (tmp_path / NAME).write_text('{"step": 0}')
    assert read_name(tmp_path) == Name(step=0)


def test_a_name_loses_the_spaces_around_it_and_may_be_in_any_script() -> None:
    assert check_name("  expA  ", "--name") == "expA"
    assert check_name("模型 Привет é🙂", "--name") == "模型 Привет é🙂"
    assert check_name(100 * "x", "--name") == 100 * "x"


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("", "is empty"),
        ("   ", "is empty"),
        ("\u200b", "is empty"),
        (101 * "x", "has 101 characters"),
        ("a\nb", r"holds the control character U\+000A"),
        ("a\tb", r"holds the control character U\+0009"),
        ("ab\n", r"holds the control character U\+000A"),
        ("\x1b[31m", r"holds the control character U\+001B"),
        ("a\u202eb", r"holds the control character U\+202E"),
        (600, "is not a text"),
    ],
)
def test_what_can_be_no_name(name: object, what: str) -> None:
    with pytest.raises(RunError, match=rf"^--name .*: {what} · expected a text of 1 to 100 .* · "):
        check_name(name, "--name")


def test_a_step_is_a_number_or_its_digits() -> None:
    assert [check_step(step, "--step") for step in (0, 600, "0", " 600 ")] == [0, 600, 0, 600]


@pytest.mark.parametrize(
    "step", ["", "-1", -1, "6.5", 6.5, "600k", "1_000", "٣", True, None, 10**18, 30 * "9"]
)
def test_what_can_be_no_step(step: object) -> None:
    with pytest.raises(RunError, match=r"^--step .*: is not a training step · expected a whole"):
        check_step(step, "--step")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"name": ""}', r"name.json: name '': is empty · expected .* · "),
        ('{"name": "a\\u0007"}', r"name.json: name .*U\+0007"),
        ('{"name": 3}', r"name.json: name 3: is not a text"),
        ('{"step": -1}', r"name.json: step -1: is not a training step"),
        ('{"step": 1.5}', r"name.json: step 1.5: is not a training step"),
        ('{"step": "600"}', r"name.json: step '600': is a text · expected .* · unquote it"),
        ('{"step": true}', r"name.json: step True: is not"),
        ('{"nam": "x"}', r"name.json: holds \{'nam': 'x'\} · expected `name` and `step` alone · "),
        ("[]", r"name.json: holds \[\] · expected"),
        ("{", r"name.json: not JSON .* · edit it, or remove it"),
    ],
)
def test_a_file_that_was_edited_badly_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / NAME).write_text(text)
    with pytest.raises(RunError, match=words):
        read_name(tmp_path)


def test_a_link_to_nothing_is_no_missing_file(tmp_path: Path) -> None:
    (tmp_path / NAME).symlink_to(tmp_path / "unmounted")
    with pytest.raises(RunError, match=r"name.json: does not exist"):
        read_name(tmp_path)
