"""Parquet: files of one split, columns, classes, and what is refused."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vipbench.data import parquet
from vipbench.data.locate import locate
from vipbench.data.parquet import find_parquet, read_columns, read_rows
from vipbench.data.samples import inspect_image, load_samples
from vipbench.data.tasks import load_task
from vipbench.errors import DataError
from vipbench.schema import DataSource, Problem, Sample, TaskSpec

SPEC = load_task("visual7w_pointing").model_copy(
    update={"name": "own", "reader": "jsonl", "kind": "short_answer"}
)


def png(size: tuple[int, int] = (8, 6)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, metadata: dict[bytes, bytes] | None = None, **columns: list[Any]) -> Path:
    given: dict[str, list[Any]] = {"question": ["Q?"], "answer": ["a"], "image": [png()]}
    table = pa.table(given | columns).replace_schema_metadata(metadata)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path / "cache"))


def located(path: Path, **fields: Any) -> DataSource:
    images = path if path.is_dir() else path.parent
    return locate("key", {"key": DataSource(path, images, **fields)}, of_rows=True)


def records(source: DataSource, spec: TaskSpec = SPEC) -> list[Sample | str]:
    """Return samples that can be asked, and the codes of the others."""
    found: list[Sample | str] = []
    for record in load_samples(spec, source):
        if isinstance(record, Problem):
            found.append(record.code)
            continue
        sample, problems = inspect_image(record, source)
        found.append(sample or problems[0].code)
    return found


def test_rows_are_questions_and_images(tmp_path: Path) -> None:
    path = write(
        tmp_path / "rows.parquet",
        question=["Is <r0> é?", "And?", "Or?"],
        answer=["yes", "no", "no"],
        image=[{"bytes": png(), "path": "1.png"}, {"bytes": None, "path": "img/2.png"}, None],
        box=[[0.1, 0.1, 0.5, 0.5], None, None],
        box_format=["fractions", None, None],
        id=["x", None, None],
    )
    (tmp_path / "img").mkdir()
    (tmp_path / "img/2.png").write_bytes(png((4, 4)))
    source = located(path, exif="apply")
    first, second, third = records(source)
    assert isinstance(first, Sample)
    assert (first.id, first.question, first.image_size) == ("x", "Is <r0> é?", (8, 6))
    assert first.regions[0].box == pytest.approx((0.8, 0.6, 4, 3))
    assert isinstance(second, Sample)  # beside the file
    assert (second.id, second.image, second.image_size) == ("questions-2", "img/2.png", (4, 4))
    assert third == "bad_record"
    assert source.exif == "apply"
    assert located(path, exif="apply") == source


@pytest.mark.parametrize(
    ("values", "code"),
    [([b"no"], "bad_image"), (["gone.png"], "missing_image"), (["A" * 99], "bad_image")],
)
def test_an_image_that_is_none(values: list[Any], code: str, tmp_path: Path) -> None:
    assert records(located(write(tmp_path / "a.parquet", image=values))) == [code]


def test_masks_in_rows(tmp_path: Path) -> None:
    levels = io.BytesIO()
    mask = Image.new("L", (8, 6))
    mask.putpixel((2, 1), 255)
    mask.save(levels, "PNG")
    rle = {"size": [6, 8], "counts": b"61Q1"}  # 6, 1, 33 and, as a difference, none
    path = write(tmp_path / "a.parquet", masks=[[levels.getvalue()]])
    (sample,) = records(located(path))
    assert isinstance(sample, Sample)
    assert sample.regions[0].box == (2, 1, 2, 1)
    path = write(tmp_path / "b.parquet", mask_rles=[[{**rle, "counts": [13, 1, 34]}]])
    (again,) = records(located(path))
    assert isinstance(again, Sample)
    assert again.regions == sample.regions
    (wrong,) = records(located(write(tmp_path / "c.parquet", mask_rles=[[rle]])))
    assert wrong == "bad_mask"


def test_classes_are_told_by_their_names(tmp_path: Path) -> None:
    kind = {"_type": "ClassLabel", "names": ["yes", "no"]}
    info = json.dumps({"info": {"features": {"answer": kind, "x": 3}}}).encode()
    path = write(
        tmp_path / "a.parquet",
        {b"huggingface": info},
        answer=[1, 7],
        question=["a", "b"],
        image=[png()] * 2,
    )
    assert [row["answer"] for row in read_rows(path)] == ["no", None]
    for broken in (b"{", b"[1]", b'{"info": 3}'):
        path = write(tmp_path / "b.parquet", {b"huggingface": broken})
        assert [row["answer"] for row in read_rows(path)] == ["a"]


# --- files of a folder


def names(folder: Path) -> list[str]:
    return [path.name for path in find_parquet(folder)]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        (["a.parquet"], ["a.parquet"]),
        (["data/test-00001-of-00002.parquet", "data/test-00000-of-00002.parquet"],
         ["test-00000-of-00002.parquet", "test-00001-of-00002.parquet"]),
        (["train-0.parquet", "test-0.parquet"], ["test-0.parquet"]),
        (["9.parquet", "10.parquet", "8.parquet"], ["8.parquet", "9.parquet", "10.parquet"]),
        ([], []),
    ],
)  # fmt: skip
def test_the_files_of_a_split(files: list[str], expected: list[str], tmp_path: Path) -> None:
    for name in files:
        write(tmp_path / name)
    assert names(tmp_path) == expected


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (["train.parquet", "val.parquet"], "has the splits train, val · name the file of one"),
        (["x_v1.parquet", "x_v2.parquet"], "has the splits x_v1, x_v2"),
        (["test-00000-of-00002.parquet"], "has 1 parts (test-00000-of-00002.parquet) · expected 2"),
        (["0.parquet", "2.parquet"], "has 2 parts (0.parquet, 2.parquet) · expected 3"),
        (["a-0-of-1.parquet", "a-0-of-2.parquet"], "has 2 parts"),
    ],
)
def test_a_split_that_is_open_or_has_gaps(files: list[str], said: str, tmp_path: Path) -> None:
    for name in files:
        write(tmp_path / name)
    with pytest.raises(DataError) as error:
        find_parquet(tmp_path)
    assert said in str(error.value)


def test_parts_of_a_split_are_read_in_order(tmp_path: Path) -> None:
    for n in (1, 0):
        write(tmp_path / f"test-{n}.parquet", question=[f"Q{n}"])
    found = records(located(tmp_path))
    assert [each.question for each in found if isinstance(each, Sample)] == ["Q0", "Q1"]
    write(tmp_path / "test-1.parquet", label=["x"])
    with pytest.raises(DataError, match=r"test-1\.parquet: has other columns than test-0\.parquet"):
        located(tmp_path)


# --- what is refused


def test_a_table_without_rows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"question": ["a"], "answer": ["b"], "image": [b"c"]}).slice(1), path)
    with pytest.raises(DataError, match=r"a\.parquet: holds no rows · expected one for each"):
        read_columns([path])


def test_a_column_that_is_missing_names_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"Question": ["a"], "answer": ["b"], "image": [b"c"]}), path)
    with pytest.raises(DataError, match=r"no column 'question' · did you mean 'Question'\?"):
        read_columns([path])
    pq.write_table(pa.table({"question": ["a"], "answer": ["b"], "imgae": ["c"]}), path)
    with pytest.raises(DataError, match=r"column of images, found none · did you mean 'imgae'\?"):
        located(path)


def test_broken_files(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet")
    whole = path.read_bytes()
    for content in (b"", b"PAR1", whole[:-30], whole[:40] + bytes(60) + whole[100:]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"a\.parquet: cannot be read as parquet"):
            located(path)
    with pytest.raises(DataError, match=r"gone\.parquet: cannot be read as parquet"):
        read_columns([tmp_path / "gone.parquet"])


def test_a_file_that_unpacks_to_far_more_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "NO_BOMB", 1000)
    path = tmp_path / "a.parquet"
    table = pa.table({"question": ["a" * 2_000_000], "answer": ["b"], "image": ["c"]})
    pq.write_table(table, path, compression="zstd")
    with pytest.raises(DataError, match=r"unpacks to [\d,]+ bytes · expected at most"):
        read_columns([path])


def test_other_readers_get_the_file_itself(tmp_path: Path) -> None:
    source = DataSource(write(tmp_path / "a.parquet"), tmp_path)
    assert locate("key", {"key": source}) == source
