"""Rows with images in them: datasets, parquet and JSON, as files that readers take."""

import base64
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow
import pyarrow.parquet
import pytest
from PIL import Image

from vipbench.data import cache, row_images
from vipbench.data.image_rows import is_saved, origins, write_pictures
from vipbench.data.locate import locate
from vipbench.data.samples import load_samples
from vipbench.data.tasks import load_task
from vipbench.errors import DataError
from vipbench.images.decode import image_size, open_image, safe_path
from vipbench.schema import DataSource, Problem, Sample


def png(color: tuple[int, int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 6), color).save(buffer, "PNG")
    return buffer.getvalue()


def rows() -> datasets.Dataset:
    red, blue = png((255, 0, 0)), png((0, 0, 255))
    columns: dict[str, Any] = {
        "picture": [{"bytes": b, "path": f"x/{n}.png"} for n, b in enumerate((red, blue, red))],
        "question": ["Is <r0> é?", "And <r0>?", "Or this?"],
        "box": [[0.0, 0.0, 4.0, 3.0], [1.0, 1.0, 2.0, 2.0], None],
        "choices": [["yes", "no"], ["yes", "no"], ["yes", "no"]],
        "answer": [0, 1, 0],
        "tags": [{"a": "x", "b": None}, {"a": None, "b": "y"}, {"a": "z", "b": "z"}],
    }
    kinds = {
        "picture": datasets.Image(),
        "question": datasets.Value("string"),
        "box": datasets.Sequence(datasets.Value("float64")),
        "choices": datasets.Sequence(datasets.Value("string")),
        "answer": datasets.ClassLabel(names=["yes", "no"]),
        "tags": {"a": datasets.Value("string"), "b": datasets.Value("string")},
    }
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))


@pytest.fixture
def task_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task whose data are a folder `saved`, and an empty cache."""
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "include"
    folder.mkdir()
    text = "name: hub\nversion: 1\ntitle: T\nkind: choice\ndata: saved\nreader: jsonl\n"
    (folder / "hub.yaml").write_text(text, encoding="utf-8")
    return folder


def test_a_folder_of_datasets_is_read_as_json_lines_and_images(task_folder: Path) -> None:
    rows().save_to_disk(str(task_folder / "saved"))
    source = locate("saved", {}, task_folder)
    found = list(load_samples(load_task("hub", (task_folder,)), source))
    samples = [sample for sample in found if isinstance(sample, Sample)]
    assert len(samples) == len(found)
    assert [sample.question for sample in samples] == ["Is <r0> é?", "And <r0>?", "Or this?"]
    assert [sample.target for sample in samples] == ["A", "B", "A"]
    assert [len(sample.regions) for sample in samples] == [1, 1, 0]
    assert samples[0].regions[0].box == (0.0, 0.0, 4.0, 3.0)
    assert [sample.tags for sample in samples] == [
        {"a": ("x",)}, {"b": ("y",)}, {"a": ("z",), "b": ("z",)},
    ]  # fmt: skip
    # the first and the last share their image, and so are one cluster
    groups = [sample.group for sample in samples]
    assert groups[0] == groups[2] != groups[1]
    image, _ = open_image(safe_path(source.images, samples[1].image))
    assert image.getpixel((0, 0)) == (0, 0, 255)
    assert safe_path(source.images, samples[1].image).read_bytes() == png((0, 0, 255))


def test_a_column_of_lists_of_images_is_that_of_several_images(task_folder: Path) -> None:
    stored = [png((255, 0, 0)), png((0, 0, 255))]
    row = {"question": "<r0>?", "answer": "x", "box": [0, 0, 4, 3], "region_images": 1}
    kinds = datasets.Dataset.from_list([row]).features
    kinds["images"] = datasets.List(datasets.Image())
    images = [{"bytes": each, "path": None} for each in stored]
    saved = datasets.Dataset.from_list([row | {"images": images}], features=kinds)
    saved.save_to_disk(str(task_folder / "saved"))
    (task_folder / "hub.yaml").write_text(
        (task_folder / "hub.yaml").read_text().replace("choice", "short_answer")
    )
    source = locate("saved", {}, task_folder)
    [sample] = load_samples(load_task("hub", (task_folder,)), source)
    assert isinstance(sample, Sample)
    assert [safe_path(source.images, each).read_bytes() for each in sample.images] == stored
    assert sample.regions[0].image == 1


def test_rows_are_written_once_for_each_fingerprint(task_folder: Path) -> None:
    rows().save_to_disk(str(task_folder / "saved"))
    first = locate("saved", {}, task_folder)
    stamp = first.questions.stat().st_mtime_ns
    given = {"key": DataSource(task_folder / "saved", task_folder)}
    assert locate("key", given) == first
    assert first.questions.stat().st_mtime_ns == stamp
    rows().select([1]).save_to_disk(str(task_folder / "other"))
    other = locate("other", {}, task_folder)
    assert other.images != first.images
    assert len(other.questions.read_text(encoding="utf-8").splitlines()) == 1
    assert {path.name for path in cache.cache_folder().iterdir()} == {
        first.images.name,
        other.images.name,
    }


def test_of_several_splits_test_is_taken_or_the_only_one(task_folder: Path) -> None:
    parts = {"train": rows().select([0, 1]), "test": rows().select([2])}
    datasets.DatasetDict(parts).save_to_disk(str(task_folder / "saved"))
    text = locate("saved", {}, task_folder).questions.read_text(encoding="utf-8")
    assert [json.loads(line)["question"] for line in text.splitlines()] == ["Or this?"]
    text = locate("saved/train", {}, task_folder).questions.read_text(encoding="utf-8")
    assert len(text.splitlines()) == 2
    datasets.DatasetDict({"all": rows()}).save_to_disk(str(task_folder / "one"))
    assert locate("one", {}, task_folder).questions.exists()
    parts = {"train": rows(), "dev": rows()}
    datasets.DatasetDict(parts).save_to_disk(str(task_folder / "two"))
    with pytest.raises(DataError, match="two: has the splits train, dev · name one, as FOLDER/SPL"):
        locate("two", {}, task_folder)


def test_numbers_that_are_no_json_are_the_problem_of_their_row(task_folder: Path) -> None:
    columns: dict[str, Any] = {
        "image": [{"bytes": png((0, 0, 0)), "path": None}] * 2,
        "question": ["Q?", "R?"],
        "choices": [["a", "b"]] * 2,
        "answer": ["A", "B"],
        "box": [[0.0, 0.0, float("nan"), 3.0], [0.0, 0.0, 4.0, 3.0]],
    }
    made = datasets.Dataset.from_dict(columns).cast_column("image", datasets.Image())
    made.with_format("numpy").save_to_disk(str(task_folder / "saved"))
    source = locate("saved", {}, task_folder)
    kinds = [type(r).__name__ for r in load_samples(load_task("hub", (task_folder,)), source)]
    assert kinds == ["Problem", "Sample"]


def test_a_class_without_a_name_is_the_problem_of_its_row(task_folder: Path) -> None:
    made = rows()
    kinds = made.features.copy()
    columns = made.to_dict() | {"answer": [0, -1, 0]}
    datasets.Dataset.from_dict(columns, features=kinds).save_to_disk(str(task_folder / "saved"))
    found = list(load_samples(load_task("hub", (task_folder,)), locate("saved", {}, task_folder)))
    (problem,) = [each for each in found if isinstance(each, Problem)]
    assert len(found) == 3
    assert "line 2: key 'answer' is missing" in problem.message


def test_an_image_that_a_row_lacks_is_missing_later_on(task_folder: Path) -> None:
    made = datasets.Dataset.from_dict({"image": [None], "question": ["a"]})
    made.cast_column("image", datasets.Image()).save_to_disk(str(task_folder / "saved"))
    source = locate("saved", {}, task_folder)
    (line,) = source.questions.read_text(encoding="utf-8").splitlines()
    row = {"image": {"bytes": None, "path": "gone/1.png"}}
    linked = row_images.with_files(row, source.images, local=True)["image"]
    for name in (json.loads(line)["image"], linked):
        with pytest.raises(DataError, match="does not exist"):
            image_size(safe_path(source.images, name))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (
            {"imgs": ["a"]},
            "expected exactly one column of images, found none · did you mean 'imgs'",
        ),
        ({"a": [None], "b": [None]}, "expected exactly one column of images, found a, b"),
        ({"a": [None], "image": ["x"]}, "column 'image' holds no images, but 'a' does"),
    ],
)
def test_columns_of_images(task_folder: Path, columns: dict[str, Any], said: str) -> None:
    made = datasets.Dataset.from_dict(columns)
    for name in ("a", "b"):
        if name in columns:
            made = made.cast_column(name, datasets.Image())
    made.save_to_disk(str(task_folder / "saved"))
    with pytest.raises(DataError, match=said):
        locate("saved", {}, task_folder)


def test_a_broken_folder_of_datasets(task_folder: Path) -> None:
    saved = task_folder / "saved"
    rows().save_to_disk(str(saved))
    (saved / "data-00000-of-00001.arrow").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"saved: a folder of datasets that cannot be loaded"):
        locate("saved", {}, task_folder)
    (saved / "state.json").write_text("{", encoding="utf-8")
    with pytest.raises(DataError, match=r"saved: a folder of datasets that cannot be loaded"):
        locate("saved", {}, task_folder)


def test_a_cache_that_cannot_be_written(task_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows().save_to_disk(str(task_folder / "saved"))
    (task_folder / "file").write_text("", encoding="utf-8")
    monkeypatch.setenv("VIPBENCH_CACHE", str(task_folder / "file"))
    with pytest.raises(DataError, match=r"saved: cannot be written to .*file/datasets-"):
        locate("saved", {}, task_folder)


def test_a_hub_id_without_a_network_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        locate("owner/name:test", {}, tmp_path)
    assert "not loaded from the hub" in str(caught.value)
    assert "give --data owner/name:test=DIR" in str(caught.value)


# --- JSON with images in it, masks, and revisions


def rows_of(source: DataSource, folder: Path) -> list[Sample | Problem]:
    return list(load_samples(load_task("hub", (folder,)), source))


def test_json_with_images_in_it_keeps_ids_and_lines(task_folder: Path) -> None:
    text = base64.b64encode(png((255, 0, 0))).decode()
    row = {"question": "Q?", "choices": ["a", "b"], "answer": "A"}
    lines = [{**row, "image": text}, None, {**row, "image": "images/b.png"}, {"image": text}]
    path = task_folder / "own.jsonl"
    path.write_text("\n".join("" if each is None else json.dumps(each) for each in lines))
    (task_folder / "images").mkdir()
    (task_folder / "images/b.png").write_bytes(png((0, 255, 0)))
    source = locate("own.jsonl", {}, task_folder, of_rows=True)
    first, second, third = rows_of(source, task_folder)
    assert isinstance(first, Sample)
    assert isinstance(second, Sample)
    assert (first.id, second.id, third.id) == ("own-1", "own-3", "own-4")
    assert image_size(safe_path(source.image_roots, first.image)) == (8, 6)
    assert image_size(safe_path(source.image_roots, second.image)) == (8, 6)
    assert isinstance(third, Problem)
    assert "own.jsonl line 4: key 'question' is missing" in third.message
    (task_folder / "own.json").write_text(json.dumps([lines[2], lines[0], 3]))
    listed = rows_of(locate("own.json", {}, task_folder, of_rows=True), task_folder)
    assert [record.id for record in listed] == ["own-1", "own-2", "own-3"]
    assert [type(record) for record in listed] == [Sample, Sample, Problem]


def test_json_without_images_in_it_is_read_where_it_lies(task_folder: Path) -> None:
    path = task_folder / "own.jsonl"
    for text in ('{"image": "a.png"}', "", "{"):
        path.write_text(text)
        assert locate("own.jsonl", {}, task_folder, of_rows=True).questions == path
    assert not cache.cache_folder().exists()


def test_masks_are_images_of_their_own(task_folder: Path) -> None:
    columns: dict[str, Any] = {
        "image": [{"bytes": png((0, 0, 0)), "path": None}],
        "mask": [{"bytes": png((9, 9, 9)), "path": None}],
        "question": ["Q?"],
        "choices": [["a", "b"]],
        "answer": ["A"],
    }
    made = datasets.Dataset.from_dict(columns)
    for name in ("image", "mask"):
        made = made.cast_column(name, datasets.Image())
    made.save_to_disk(str(task_folder / "saved"))
    (record,) = rows_of(locate("saved", {}, task_folder), task_folder)
    assert isinstance(record, Problem)  # RGB is no mask
    assert "has the mode RGB · expected one channel" in record.message


def test_base64_and_paths_in_a_folder_of_datasets(task_folder: Path) -> None:
    text = base64.b64encode(png((0, 0, 255))).decode()
    columns: dict[str, Any] = {
        "image": [text, "a.png"],
        "question": ["Q?"] * 2,
        "choices": [["a", "b"]] * 2,
        "answer": ["A"] * 2,
    }
    datasets.Dataset.from_dict(columns).save_to_disk(str(task_folder / "saved"))
    (task_folder / "saved/a.png").write_bytes(png((0, 0, 0)))
    source = locate("saved", {}, task_folder)
    for record in rows_of(source, task_folder):
        assert isinstance(record, Sample)
        assert image_size(safe_path(source.image_roots, record.image)) == (8, 6)


@pytest.mark.parametrize(
    ("key", "asked"),
    [
        ("owner/name", ("owner/name", None, None)),
        ("owner/name@v1.0", ("owner/name", None, "v1.0")),
        ("owner/name:val@refs/pr/3", ("owner/name", "val", "refs/pr/3")),
        ("owner/name:val", ("owner/name", "val", None)),
    ],
)
def test_a_revision_of_the_hub(
    key: str, asked: tuple[str | None, ...], task_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str | None, ...]] = []

    def load(name: str, split: str | None, revision: str | None) -> datasets.Dataset:
        seen.append((name, split, revision))
        return rows()

    monkeypatch.setattr(datasets, "load_dataset", load)
    assert len(rows_of(locate(key, {}, task_folder), task_folder)) == 3
    assert seen == [asked]


def test_a_revision_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, **_: object) -> datasets.Dataset:
        raise datasets.exceptions.DatasetNotFoundError("Revision 'v9' doesn't exist")

    monkeypatch.setattr(datasets, "load_dataset", load)
    with pytest.raises(DataError) as caught:
        locate("owner/name@v9", {}, tmp_path)
    said = str(caught.value)
    assert "not loaded from the hub at revision 'v9', a branch, tag or commit" in said
    assert "Revision 'v9' doesn't exist" in said


# --- tables for readers of their own


PNG = b"\x89PNG one"
JPEG = b"\xff\xd8\xff two" * 8


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def table(path: Path, rows: list[dict[str, object]]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def lines_of(source: DataSource) -> list[dict[str, object]]:
    return [json.loads(line) for line in source.questions.read_text("utf-8").splitlines()]


def test_pictures_become_files_of_their_digest(tmp_path: Path, kept: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": "a", "one": {"bytes": PNG, "path": "x"}, "two": base64.b64encode(JPEG).decode()},
        {"id": "b", "one": {"bytes": PNG, "path": "y"}, "two": None},
        {"id": "c", "one": None, "two": "A" * 300 + "!"},
    ]
    path = table(tmp_path / "t.parquet", rows)
    source = DataSource(path, tmp_path, boxes="pixels")
    written = write_pictures(source, [path], ["one", "two"])
    assert written.boxes == "pixels"
    found = lines_of(written)
    name = f"images/{hashlib.sha256(PNG).hexdigest()[:32]}.png"
    assert [row["one"] for row in found] == [name, name, None]
    assert (written.images / name).read_bytes() == PNG
    assert (written.images / str(found[0]["two"])).read_bytes() == JPEG
    assert str(found[0]["two"]).endswith(".jpg")
    assert found[1]["two"] is None
    assert (written.images / str(found[2]["two"])).is_file()  # broken when it is opened
    digest = hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    stated = {"name": "t.parquet", "md5": digest, "bytes": path.stat().st_size}
    assert origins(written.questions) == [stated]
    assert write_pictures(source, [path], ["one", "two"]) == written
    assert len(list(kept.iterdir())) == 1
    table(path, rows[:1])
    assert len(lines_of(write_pictures(source, [path], ["one", "two"]))) == 1


def test_pictures_of_a_folder_that_datasets_has_saved(tmp_path: Path, kept: Path) -> None:
    features = datasets.Features({"id": datasets.Value("string"), "one": datasets.Image()})
    rows = {"id": ["a"], "one": [{"bytes": PNG, "path": None}]}
    saved = datasets.Dataset.from_dict(rows, features=features)
    saved.save_to_disk(str(tmp_path / "saved"))
    assert is_saved(tmp_path / "saved")
    assert not is_saved(tmp_path)
    source = DataSource(tmp_path / "saved", tmp_path)
    [row] = lines_of(write_pictures(source, [tmp_path / "saved"], ["one"]))
    assert row["id"] == "a"
    assert str(row["one"]).endswith(".png")
    datasets.DatasetDict({"val": saved}).save_to_disk(str(tmp_path / "splits"))
    with pytest.raises(DataError, match="has the splits val · expected the folder of one split"):
        write_pictures(source, [tmp_path / "splits"], ["one"])


def test_what_is_no_table_is_said(tmp_path: Path, kept: Path) -> None:
    path = tmp_path / "t.parquet"
    path.write_bytes(b"PAR1 torn")
    with pytest.raises(DataError, match=r"t\.parquet: cannot be read as parquet"):
        write_pictures(DataSource(path, tmp_path), [path], ["one"])
    assert origins(tmp_path / "questions.jsonl") == []


def test_a_picture_may_be_a_path_and_everything_else_stays(tmp_path: Path, kept: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": "a", "one": "train/1.png", "none": None, "n": float("nan")},
        {"id": "b", "one": "", "none": None, "n": 0.5},
    ]
    path = table(tmp_path / "t.parquet", rows)
    written = write_pictures(DataSource(path, tmp_path), [path], ["one", "two"])
    assert written.more_images == (tmp_path,)
    assert lines_of(written) == [
        {"id": "a", "one": "train/1.png", "none": None, "n": None, "two": None},
        {"id": "b", "one": None, "none": None, "n": 0.5, "two": None},
    ]
