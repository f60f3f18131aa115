"""BLINK: rows of the hub, right answers alone, labels of two releases."""

import json
from pathlib import Path

import datasets
import pyarrow.parquet
import pytest

from vipbench.data.samples import load_samples
from vipbench.data.task_data import locate_task
from vipbench.data.tasks import import_reader, load_task
from vipbench.errors import DataError
from vipbench.schema import DataSource, Problem, Sample
from vipbench.trials.check import check_tasks

DEPTH, REFLECTANCE = "blink_relative_depth", "blink_relative_reflectance"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path / "cache"))


def records(task: str, place: Path) -> list[Sample | Problem]:
    spec = load_task(task)
    folder = place if place.is_dir() else place.parent
    return list(load_samples(spec, locate_task(spec, {"blink": DataSource(place, folder)})))


def answers(folder: Path, subtask: str, letters: str, split: str = "val") -> Path:
    path = folder / "val_answers.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    known |= {f"{split}_{subtask}_{n}": f"({x})" for n, x in enumerate(letters, start=1)}
    folder.mkdir(exist_ok=True)
    path.write_text(json.dumps(known))
    return path


def test_the_prompt_of_the_data_is_the_text(data: Path) -> None:
    found = records(DEPTH, data / "blink")
    first = found[0]
    assert isinstance(first, Sample)
    assert [record.id for record in found] == [f"val_Relative_Depth_{n}" for n in range(1, 5)]
    assert first.question.endswith("choices.\n(A) A is closer\n(B) B is closer")
    assert (first.choices, first.target) == (("A is closer", "B is closer"), "B")
    assert (first.group, first.regions) == (first.id, ())
    assert first.image.startswith("images/")


def test_two_pictures_are_shown_in_their_order(data: Path) -> None:
    for name in ("visual", "semantic", "functional"):
        found = records(f"blink_{name}_correspondence", data / "blink")
        first = found[0]
        assert isinstance(first, Sample)
        assert len(found) == 4
        assert len(first.images) == 2
        assert first.images[0] == first.image
        assert first.choices == ("Point A", "Point B", "Point C", "Point D")


@pytest.mark.parametrize("layout", ["subtask", "file", "saved", "splits"])
def test_other_places_of_the_rows(data: Path, tmp_path: Path, layout: str) -> None:
    table = data / "blink/Relative_Depth/val-00000-of-00001.parquet"
    place = tmp_path / "place"
    if layout == "file":
        place = table
    elif layout == "subtask":
        place = table.parent
    else:
        saved = datasets.Dataset(pyarrow.parquet.read_table(table))
        for name in ("image_1", "image_2", "image_3", "image_4"):
            saved = saved.cast_column(name, datasets.Image())
        whole = saved if layout == "saved" else datasets.DatasetDict({"val": saved})
        whole.save_to_disk(str(place / "Relative_Depth"))
    there = [r.id for r in records(DEPTH, data / "blink")]
    assert [record.id for record in records(DEPTH, place)] == there


def test_what_is_wrong_with_a_row_is_its_problem(data: Path, tmp_path: Path) -> None:
    rows = pyarrow.parquet.read_table(
        data / "blink/Relative_Depth/val-00000-of-00001.parquet"
    ).to_pylist()
    rows[0]["answer"] = "hidden"
    rows[2]["image_1"] = None
    rows[3]["answer"] = "(C)"
    path = tmp_path / "Relative_Depth/val-00000-of-00001.parquet"
    path.parent.mkdir()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    found = records(DEPTH, tmp_path)
    codes = [record.code for record in found if isinstance(record, Problem)]
    assert codes == [
        "answer_not_in_options", "missing_image", "answer_not_in_options",
    ]  # fmt: skip
    assert "read val" in found[0].message  # type: ignore[union-attr]


def test_nothing_of_blink(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected Relative_Depth/val-\*\.parquet"):
        records(DEPTH, tmp_path)
    answers(tmp_path / "a", "Art_Style", "AB")
    with pytest.raises(DataError, match="holds no id that begins with val_Relative_Depth_"):
        records(DEPTH, tmp_path / "a")


def test_old_labels_are_known_by_their_digest(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = import_reader(load_task(REFLECTANCE)).__globals__
    labels = {f"val_Relative_Reflectance_{n}": f"({'ABC'[n % 3]})" for n in range(1, 5)}
    digest = reader["digest_labels"](labels)
    # The definition, so that anybody can make it: lines sorted by id as text.
    assert digest == reader["digest_labels"](dict(reversed(labels.items())))
    assert not any(isinstance(r, Problem) for r in records(REFLECTANCE, data / "blink"))
    monkeypatch.setitem(reader, "OLD_LABELS", digest)
    [warning] = [r for r in records(REFLECTANCE, data / "blink") if isinstance(r, Problem)]
    assert (warning.code, warning.warning) == ("old_labels", True)
    assert "release of 2024" in warning.message
    assert "since 2025-09-03" in warning.message


def test_right_answers_alone_have_the_known_options(tmp_path: Path) -> None:
    answers(tmp_path / "a", "Relative_Reflectance", "ACB")
    found = records(REFLECTANCE, tmp_path / "a")
    assert [r.target for r in found if isinstance(r, Sample)] == ["A", "C", "B"]
    assert all(r.answer_only and not r.image for r in found if isinstance(r, Sample))
    assert all(r.choices[2] == "About the same" for r in found if isinstance(r, Sample))
    answers(tmp_path / "a", "Relative_Depth", "ACB")
    codes = [getattr(r, "code", "") for r in records(DEPTH, tmp_path / "a/val_answers.json")]
    assert codes == ["", "answer_not_in_options", ""]
    place = DataSource(tmp_path / "a", tmp_path / "a")
    [report] = check_tasks([REFLECTANCE], {"blink": place})
    assert "answer_only" in [found.code for found in report.findings if not found.warning]
