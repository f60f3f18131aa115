"""Question files read strictly: broken JSON, unknown formats, bad records, images and layouts."""

import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from vipbench.errors import DataError
from vipbench.reading import (
    BadRecord,
    DataRecord,
    Layout,
    Number,
    Xyxy,
    attempt,
    find_image,
    parse,
    plain,
    read_questions,
    recognise,
    stated_id,
)
from vipbench.schema import Problem, Sample


class Thing(DataRecord):
    name: str
    box: Xyxy
    size: Number = 1.0


def has(key: str) -> Callable[[object], bool]:
    return lambda content: isinstance(content, dict) and key in content


LAYOUTS = {
    "raw": Layout(("raw.json", "deep/raw.json"), has("raw"), "an object with 'raw'"),
    "made": Layout(("made.json",), has("made"), "an object with 'made'"),
}


@pytest.mark.parametrize(
    ("text", "content", "lines"),
    [
        ('{"a": 1}', {"a": 1}, ()),
        ('[{"a": 1},\n {"a": 2}]', [{"a": 1}, {"a": 2}], ()),
        ('{"a": 1}\n\n{"a": 2}\n', [{"a": 1}, {"a": 2}], (1, 3)),
        ('\ufeff{"a": "\u2028"}\r\n{"a": 2}', [{"a": "\u2028"}, {"a": 2}], (1, 2)),
    ],
)
def test_json_and_json_lines_are_told_apart(
    text: str, content: object, lines: tuple[int, ...], tmp_path: Path
) -> None:
    path = tmp_path / "any.name"
    path.write_bytes(text.encode())
    file = read_questions(path)
    assert (file.content, file.lines) == (content, lines)


def test_a_record_says_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "q"
    path.write_text('\n{"a": 1}\n{"a": 2}', encoding="utf-8")
    assert [where for where, _ in read_questions(path).records()] == ["q line 2", "q line 3"]
    path.write_text('[{"a": 1}, 5]', encoding="utf-8")
    assert list(read_questions(path).records()) == [("q record 0", {"a": 1}), ("q record 1", 5)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1,\n "b": }', "q.json:2:7: broken JSON"),
        (b'{"a": 1}\n{"a": 2\n', "q.json:2:8: broken JSON"),
        (b'{"a": NaN}', "q.json:1:7: broken JSON (NaN is not JSON)"),
        (b"[" * 100_000, "broken JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "broken JSON"),
        (b" \n", "the file is empty"),
        (b'{"a": "\xff"}', "not UTF-8 text (byte 7)"),
    ],
)
def test_a_broken_file_is_named_with_line_and_column(
    content: bytes, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "q.json"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_questions(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        read_questions(tmp_path / "q.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_questions(tmp_path)


def write(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / f"{name}.json").write_text(text, encoding="utf-8")


def test_official_names_go_first_and_the_preferred_layout_before_them(tmp_path: Path) -> None:
    write(tmp_path, made='{"made": 1}', other='{"raw": "other"}')
    assert recognise(tmp_path, LAYOUTS)[0] == "made"
    write(tmp_path / "deep", raw='{"raw": "deep"}')
    name, file = recognise(tmp_path, LAYOUTS)
    assert (name, file.content) == ("raw", {"raw": "deep"})


def test_without_official_names_the_content_decides(tmp_path: Path) -> None:
    write(tmp_path, a='{"x": 1}', b='{"made": 1}', c='{"raw": 1}', c_train='{"raw": 2}')
    name, file = recognise(tmp_path, LAYOUTS)
    assert (name, file.path.name) == ("raw", "c.json")
    write(tmp_path, d='{"raw": 3}')
    with pytest.raises(DataError, match=r"c\.json, d\.json all fit · name one file"):
        recognise(tmp_path, LAYOUTS)


def test_an_official_name_does_not_make_the_format(tmp_path: Path) -> None:
    write(tmp_path, raw='{"made": 1}')
    assert recognise(tmp_path, LAYOUTS)[0] == "made"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ('{"x": 1, "y": 2}', "holds an object with the keys x, y"),
        ("{}", "keys (none)"),
        ("[]", "holds an empty list"),
        ('[{"z": 1}]', "holds a list of objects with the keys z"),
        ("[1]", "holds a list)"),
        ('"raw"', "holds a str"),
        ("{" + ", ".join(f'"k{n}": 0' for n in range(9)) + "}", "k7, …"),
    ],
)
def test_an_unknown_format_says_what_was_seen_and_expected(
    text: str, seen: str, tmp_path: Path
) -> None:
    write(tmp_path, q=text)
    for questions in (tmp_path, tmp_path / "q.json"):
        with pytest.raises(DataError) as error:
            recognise(questions, LAYOUTS)
        assert seen in str(error.value)
        assert "expected raw.json (an object with 'raw'); or made.json" in str(error.value)


def test_an_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no JSON file found"):
        recognise(tmp_path, LAYOUTS)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"box": [1, 2, 3, 4], "nme": "a"}, "q: key 'name' is missing · did you mean 'nme'?"),
        ({"name": 3, "box": [1, 2, 3, 4]}, "name = 3 · expected text"),
        ({"name": "a", "box": [1, 2, 3]}, "box = [1, 2, 3]: has too few entries"),
        ({"name": "a", "box": [1, 2, 3, True]}, "box.3 = True"),
        ({"name": "a", "box": [1, 2, 3, "4"]}, "box.3 = '4'"),
        ({"name": "a", "box": [1, 2, 3, 1e999]}, "box.3 = inf · expected a finite number"),
        ({"name": "a", "box": [1, 2, 3, 10**400]}, "box.3 = 1000"),
        ({"name": "a", "box": "1234"}, "box = '1234'"),
        (None, "the record = None"),
    ],
)
def test_a_bad_record_is_named_with_key_and_value(value: object, words: str) -> None:
    with pytest.raises(BadRecord) as error:
        parse(Thing, value, "q")
    assert words in str(error.value)
    assert error.value.code == "bad_record"


def test_several_mistakes_are_told_at_once() -> None:
    with pytest.raises(BadRecord, match=r"'name' is missing.*; size = 'big'"):
        parse(Thing, {"box": [0, 0, 1, 1], "size": "big"}, "q")


def test_a_good_record() -> None:
    thing = parse(Thing, {"name": "a", "box": [1, 2.5, 3, 4], "other": 0}, "q")
    assert thing == Thing(name="a", box=(1.0, 2.5, 3.0, 4.0))


def test_a_sample_of_the_wrong_type_is_a_problem() -> None:
    given = {"id": "1", "image": "1.png", "question": None, "target": "A", "group": "1"}
    (problem,) = attempt("1", lambda: Sample.model_validate(given))
    assert isinstance(problem, Problem)
    assert problem.message == "question = None · expected text"


@pytest.mark.parametrize(
    ("value", "found"),
    [({"id": "a"}, "a"), ({"id": 5}, "5"), ({"id": True}, "w"), ({"id": None}, "w"), (3, "w")],
)
def test_the_id_of_a_record_is_what_it_states(value: object, found: str) -> None:
    assert stated_id(value, "id", "w") == found


def test_reserved_text() -> None:
    assert plain("a <b> <r> <r1 >") == "a <b> <r> <r1 >"
    with pytest.raises(BadRecord, match="<r12>") as error:
        plain("see <r12>")
    assert error.value.code == "reserved_text"


@pytest.mark.parametrize(
    ("there", "found"),
    [
        (["a/b/1.jpg", "b/1.jpg"], "a/b/1.jpg"),
        (["b/1.jpg", "x/1.jpg"], "b/1.jpg"),
        (["x/b/1.jpg", "1.jpg"], "x/b/1.jpg"),
        (["1.jpg", "x/1.jpg"], "1.jpg"),
        (["x/1.jpg"], "x/1.jpg"),
        ([], "a/b/1.jpg"),
    ],
)
def test_an_image_is_found_wherever_a_layout_puts_it(
    there: list[str], found: str, tmp_path: Path
) -> None:
    for name in there:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_image(tmp_path, "a/b/1.jpg", ("", "x")) == found


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({"two/a/b/1.jpg": "1"}, "a/b/1.jpg"),
        ({"two/x/1.jpg": "1"}, "x/1.jpg"),
        ({"one/x/1.jpg": "1", "two/1.jpg": "1"}, "x/1.jpg"),
        ({"one/1.jpg": "1", "two/a/b/1.jpg": "2"}, "a/b/1.jpg"),
        ({"one/1.jpg": "1", "two/x/1.jpg": "2"}, None),
        ({"one/1.jpg": "1", "two/1.jpg": "2"}, None),
        ({}, "a/b/1.jpg"),
    ],
)
def test_an_image_is_looked_up_in_each_root(
    there: dict[str, str], found: str | None, tmp_path: Path
) -> None:
    for name, content in there.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    roots = (tmp_path / "one", tmp_path / "two")
    if found is not None:
        assert find_image(roots, "a/b/1.jpg", ("", "x")) == found
        return
    with pytest.raises(BadRecord) as error:
        find_image(roots, "a/b/1.jpg", ("", "x"))
    assert error.value.code == "ambiguous_image"
    for name in there:
        assert str(tmp_path / name) in str(error.value)


def test_a_name_that_the_system_refuses_is_nowhere(tmp_path: Path) -> None:
    name = f"{'x' * 300}.jpg"
    assert find_image(tmp_path, name, ("", "x")) == name


@pytest.mark.parametrize("image", ["/1.jpg", "../1.jpg", "a/../../1.jpg", ""])
def test_a_path_that_leaves_the_root_is_left_to_the_checks(image: str, tmp_path: Path) -> None:
    (tmp_path / "1.jpg").touch()
    (tmp_path / "root").mkdir()
    assert find_image(tmp_path / "root", image, ("", "x")) == image


@pytest.mark.parametrize(
    ("content", "place"),
    [
        ('{"a": 1, "b": 2, "a": 3}', "1:18"),
        ('{"b": 1}\n{"a": 1, "a": 3}', "2:10"),
        ('[{"a": 1},\n {"x": {"y": 1,\n "y": 2}}]', "3:2"),
    ],
)
def test_a_key_that_stands_twice_is_refused_in_what_is_written_by_hand(
    content: str, place: str, tmp_path: Path
) -> None:
    path = tmp_path / "q.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=rf"q\.json:{place}: .*occurs twice"):
        read_questions(path, written_by_hand=True)
    read_questions(path)  # the releases are as they are


def test_a_git_lfs_pointer_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DataError) as error:
        read_questions(path)
    assert str(error.value) == f"{path}: is a Git LFS pointer · fetch the file with git lfs pull"


def test_a_file_that_never_ends_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server, contextlib.chdir(tmp_path):
        server.bind("socket")
        for name in ("pipe", "zero", "socket"):
            with pytest.raises(DataError, match=f"{name}: cannot be read .not a regular file"):
                read_questions(tmp_path / name)
            with pytest.raises(DataError, match=f"{name}: not a regular file · expected a file or"):
                recognise(tmp_path / name, {})


def test_other_names_that_are_pipes_are_passed_over(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(DataError, match="no JSON file found"):
        recognise(tmp_path, {"a": Layout(("a.json",), bool, "a list")})


def test_a_path_of_thousands_of_folders_is_not_looked_up_part_by_part(tmp_path: Path) -> None:
    deep = "vg/images/" * 3000 + "1.png"
    (tmp_path / "1.png").touch()
    assert find_image(tmp_path, deep, ("", "a", "b")) == deep
    assert find_image(tmp_path, "vg/" * 30 + "1.png", ("", "a")) == "1.png"
