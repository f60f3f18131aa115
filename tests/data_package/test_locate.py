import os
from pathlib import Path

import pytest

from vipbench.data.locate import KEYS, locate, parse_data_options
from vipbench.errors import DataError
from vipbench.schema import DataSource

# --- where data lie


def test_a_key_and_a_folder_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "q.json").write_text("[]", encoding="utf-8")
    found = parse_data_options([f"vcr={tmp_path}", f"my_key={tmp_path / 'q.json'}"])
    assert found == {
        "vcr": DataSource(tmp_path, tmp_path),
        "my_key": DataSource(tmp_path / "q.json", tmp_path),
    }


def test_a_path_may_hold_an_equals_sign_and_start_at_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a=b").mkdir()
    assert parse_data_options(["vcr=~/a=b"])["vcr"].images == tmp_path / "a=b"
    path = tmp_path / "a=b.yaml"
    path.write_text("vcr: {questions: ., images: ~/a=b}\n", encoding="utf-8")
    assert parse_data_options([str(path)]) == {"vcr": DataSource(tmp_path, tmp_path / "a=b")}


def test_a_yaml_file_of_places(tmp_path: Path) -> None:
    (tmp_path / "deep/images").mkdir(parents=True)
    (tmp_path / "q.json").write_text("[]", encoding="utf-8")
    path = tmp_path / "places.yaml"
    text = (
        f"vcr: {{questions: q.json, images: deep/images}}\nx: {{images: {tmp_path}, questions: .}}"
    )
    path.write_text(text, encoding="utf-8")
    assert parse_data_options([str(path)]) == {
        "vcr": DataSource(tmp_path / "q.json", tmp_path / "deep/images"),
        "x": DataSource(tmp_path, tmp_path),
    }


def test_images_may_lie_in_several_folders(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    path = tmp_path / "places.yaml"
    path.write_text(f"vcr: {{questions: ., images: [a, '{tmp_path / 'b'}']}}\n", encoding="utf-8")
    (source,) = parse_data_options([str(path)]).values()
    assert source == DataSource(tmp_path, tmp_path / "a", (tmp_path / "b",))
    assert source.image_roots == (tmp_path / "a", tmp_path / "b")
    assert locate("vcr", {"vcr": source}) == source
    (tmp_path / "b").rmdir()
    with pytest.raises(DataError, match=r"data 'vcr': .*b does not exist"):
        locate("vcr", {"vcr": source})
    with pytest.raises(DataError, match=r"images: .*b does not exist"):
        parse_data_options([str(path)])
    path.write_text("vcr: {questions: ., images: [a]}\n", encoding="utf-8")
    (source,) = parse_data_options([str(path)]).values()
    assert source == DataSource(tmp_path, tmp_path / "a")
    assert source.image_roots == tmp_path / "a"


@pytest.mark.parametrize("images", ["[]", "[3]", "{a: 1}", "[[a]]", "[null]"])
def test_folders_of_images_that_are_no_paths(tmp_path: Path, images: str) -> None:
    path = tmp_path / "places.yaml"
    path.write_text(f"vcr: {{questions: ., images: {images}}}\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"vcr: images is .* · expected a path or a list of paths"):
        parse_data_options([str(path)])


def test_a_yaml_file_may_say_what_boxes_and_exif_are(tmp_path: Path) -> None:
    path = tmp_path / "places.yaml"
    path.write_text("x: {questions: ., images: ., boxes: fractions, exif: apply}\n")
    assert parse_data_options([str(path)]) == {
        "x": DataSource(tmp_path, tmp_path, boxes="fractions", exif="apply")
    }
    path.write_text("x: {questions: ., images: ., boxes: percent, exif: [1]}\n")
    expected = (
        "boxes is 'percent' · expected pixels, fractions, .*exif is .* expected apply, ignore"
    )
    with pytest.raises(DataError, match=expected):
        parse_data_options([str(path)])


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (
            "vcr",
            "expected KEY=DIR (keys: visual7w, pointqa, vcr, vip_bench, gar_bench, vpbench, blink, "
            "vp_bench, inst_it), KEY=FILE or",
        ),
        ("vcr=", "expected KEY=DIR"),
        ("=.", "expected KEY=DIR"),
        ("", "expected KEY=DIR"),
        ("vcr=nowhere", "nowhere does not exist · give an existing folder or file"),
        ("nowhere.yaml", "nowhere.yaml: cannot be read"),
    ],
)
def test_options_that_cannot_be_used(option: str, said: str) -> None:
    with pytest.raises(DataError) as caught:
        parse_data_options([option])
    assert said in str(caught.value)


def test_a_key_that_is_given_twice(tmp_path: Path) -> None:
    path = tmp_path / "places.yaml"
    path.write_text("vcr: {questions: ., images: .}\n", encoding="utf-8")
    with pytest.raises(DataError, match="vcr is given twice"):
        parse_data_options([str(path), f"vcr={tmp_path}"])


def test_mistakes_in_a_yaml_file_of_places_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "places.yaml"
    text = "vcr: here\nx: {question: ., images: .}\ny: {questions: 3, images: gone}\n"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataError) as caught:
        parse_data_options([str(path)])
    for part in (
        f"--data {path}: vcr: expected the keys 'questions' and 'images', not 'here'",
        "x: unknown key 'question' · did you mean 'questions'?",
        "x: questions is None · expected a path",
        "y: questions is 3 · expected a path",
        "y: images: gone does not exist",
    ):
        assert part in str(caught.value)
    path.write_text("vcr: {questions: ., images: .}\nvcr: {questions: ., images: .}\n")
    with pytest.raises(DataError, match=r"places\.yaml:2:1: .* 'vcr' occurs twice"):
        parse_data_options([str(path)])


def test_locate(tmp_path: Path) -> None:
    given = {"vcr": DataSource(tmp_path, tmp_path)}
    (tmp_path / "q.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "folder").mkdir()
    assert locate("vcr", given) == given["vcr"]
    assert locate("vcr", given, tmp_path) == given["vcr"]
    assert locate("q.jsonl", {}, tmp_path) == DataSource(tmp_path / "q.jsonl", tmp_path)
    assert locate("folder", {}, tmp_path) == DataSource(tmp_path / "folder", tmp_path / "folder")
    override = {"q.jsonl": DataSource(tmp_path / "folder", tmp_path)}
    assert locate("q.jsonl", override, tmp_path) == override["q.jsonl"]


def test_data_that_are_nowhere_say_which_option_to_give(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"'pointqa': not found anywhere · give --data pointqa=D"):
        locate("pointqa", {}, tmp_path)
    given = {"visual7": DataSource(tmp_path, tmp_path)}
    with pytest.raises(
        DataError, match=r"anywhere · did you mean 'visual7'\? · give --data visual7w="
    ):
        locate("visual7w", given)


def test_the_keys_are_those_of_the_tasks() -> None:
    assert set(KEYS) == {"visual7w", "pointqa", "vcr", "vip_bench"}


@pytest.mark.parametrize("key", ["here/q.jsonl", "nowhere/q.json", "here/data", "a/b/c", "../x/y"])
def test_a_path_is_not_taken_for_a_hub_id(tmp_path: Path, key: str) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(DataError, match="not found anywhere"):
        locate(key, {}, tmp_path)


def test_data_that_are_gone(tmp_path: Path) -> None:
    source = DataSource(tmp_path, tmp_path / "gone")
    with pytest.raises(DataError, match=r"data 'vcr': .*gone does not exist"):
        locate("vcr", {"vcr": source})


def test_data_that_never_end_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(DataError, match=f"a={path}: not a regular file · expected a file or"):
            parse_data_options([f"a={path}"])


def test_a_yaml_file_stands_without_a_key(tmp_path: Path) -> None:
    path = tmp_path / "paths.yaml"
    path.write_text("questions: q.jsonl")
    with pytest.raises(DataError, match=r"give --data \S+paths.yaml, with `own: {questions: …"):
        parse_data_options([f"own={path}"])
