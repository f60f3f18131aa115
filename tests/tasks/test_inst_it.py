"""Inst-It-Bench, options: the file beside the marked pictures, and the rows of the hub."""

import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from vipbench.api import evaluate
from vipbench.data.samples import load_samples
from vipbench.data.task_data import locate_task
from vipbench.data.tasks import all_styles, load_task
from vipbench.prompts.request import build_request
from vipbench.runfolder import manifest as manifests
from vipbench.schema import DataSource, Problem, Sample

TASK = "inst_it_mc"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path / "cache"))


def records(place: Path) -> list[Sample | Problem]:
    spec = load_task(TASK)
    return list(load_samples(spec, locate_task(spec, {"inst_it": DataSource(place, place)})))


def test_the_file_and_the_published_text(data: Path) -> None:
    found = records(data / "inst_it")
    first = found[0]
    assert isinstance(first, Sample)
    assert [record.id for record in found] == ["q1", "q2", "q3", "q4"]
    assert (first.image, first.target) == ("images_vpt/001.jpg", "A")
    assert first.group == "001.jpg"
    [text] = build_request(first, all_styles()["given"], 0).turns
    assert text.startswith(
        "Based on the image, select the best answer to the following multiple-choice question. In"
        " both the question and options, specific objects are represented using the format [ID]"
        " (e.g., '[1]'', '[2]''. Respond with only the letter (A, B, C, or D) of the correct"
        " option.\nWhat does [1] look at?\nA. [2]\nB. [3]\n"
    )
    assert text.endswith("\nD. [1]\nThe best answer is: ")


def test_pictures_without_marks_are_not_taken(data: Path, tmp_path: Path) -> None:
    content = (data / "inst_it/image_multi_choices.json").read_text()
    (tmp_path / "image_multi_choices.json").write_text(content)
    (tmp_path / "images_raw").mkdir()
    (tmp_path / "images_raw/001.jpg").write_bytes(b"")
    first = records(tmp_path)[0]
    assert isinstance(first, Sample)
    assert first.image == "001.jpg"  # which is reported as missing


def test_rows_of_the_hub(data: Path, tmp_path: Path) -> None:
    rows = json.loads((data / "inst_it/image_multi_choices.json").read_text())
    for row in rows:
        picture = (data / "inst_it/images_vpt" / row["image"]).read_bytes()
        row["image"] = {"bytes": picture, "path": row["image"]}
    path = tmp_path / "hub/image_multi_choice/test-00000-of-00001.parquet"
    path.parent.mkdir(parents=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    for place in (tmp_path / "hub", path.parent, path):
        found = records(place)
        assert [record.id for record in found] == ["q1", "q2", "q3", "q4"]
        assert len({record.group for record in found if isinstance(record, Sample)}) == 2


def test_numbers_in_brackets_are_what_the_prompt_says(data: Path, tmp_path: Path) -> None:
    place = DataSource(data / "inst_it", data / "inst_it")
    results = evaluate(tasks=[TASK], data={"inst_it": place}, runner="oracle", out=tmp_path / "r")
    assert {row.accuracy for row in results.rows if row.group == "all"} == {1.0}
    assert {row.metric for row in results.rows} == {"inst_it"}
    assert manifests.read(tmp_path / "r").tasks[TASK].problems == {}


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"answer": "E"}, "answer_not_in_options"), ({"image": ""}, "missing_image"),
     ({"choice_c": None}, "bad_record")],
)  # fmt: skip
def test_a_broken_record_is_a_problem(
    data: Path, tmp_path: Path, changes: dict[str, object], code: str
) -> None:
    rows = json.loads((data / "inst_it/image_multi_choices.json").read_text())
    rows[1] |= changes
    (tmp_path / "image_multi_choices.json").write_text(json.dumps(rows))
    codes = [getattr(record, "code", "") for record in records(tmp_path)]
    assert codes == ["", code, "", ""]
