import json
from pathlib import Path
from typing import Any

import pytest

from vipbench.errors import DataError, RunError
from vipbench.judge.known import common, read_known


def grades(folder: Path, entries: object) -> Path:
    path = folder / "vip-llava-7b-human_gpt-4-0613-grade-5runs.json"
    path.write_text(json.dumps(entries))
    return path


def entry(*scores: float, content: list[str] | None = None, model: str = "gpt-4-0613") -> Any:
    said = [str(score) for score in scores] if content is None else content
    return {"model": [model] * len(scores), "content": said, "score": list(scores)}


def test_a_grade_file_gives_the_mean_of_each_sample(tmp_path: Path) -> None:
    known = read_known(grades(tmp_path, {"v1_0": entry(0.5, 0.7), "v1_1": entry(0.0, 0.0)}))
    assert known.grades == pytest.approx({"v1_0": 0.6, "v1_1": 0.0})
    assert known.judges == {"gpt-4-0613": 4}
    assert (known.n_unread, known.totals) == (0, {})


def test_a_zero_for_a_reply_that_was_none_is_no_grade(tmp_path: Path) -> None:
    file = {"v1_0": entry(0, content=["The"]), "v1_1": entry(0.4), "v1_2": entry(0, content=["0."])}
    known = read_known(grades(tmp_path, file))
    assert known.grades == {"v1_1": 0.4, "v1_2": 0.0}
    assert known.n_unread == 1


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({}, "holds no grade"),
        ([], "the file holds \\[\\] · expected a mapping of keys to values"),
        ({"v1_0": "text"}, "v1_0 = 'text' · expected a mapping"),
        ({"v1_0": {"score": []}}, "v1_0.score = \\[\\] · expected 1 or more entries"),
        ({"v1_0": {"score": ["much"]}}, "v1_0.score.0 = 'much' · expected a number"),
        ({"v1_0": entry(7)}, r"v1_0: score \[7.0\] · expected grades from 0 to 1"),
        ({"v1_0": {"score": [0.5], "more": 1}}, "unknown key 'v1_0.more'"),
    ],
)
def test_what_is_no_grade_file(tmp_path: Path, entries: object, said: str) -> None:
    with pytest.raises(DataError, match=said):
        read_known(grades(tmp_path, entries))


def test_totals(tmp_path: Path) -> None:
    path = tmp_path / "x-cap-score-5runs.csv"
    path.write_text(',rec,ocr,total,std,runs\nvip,54.8,18.8,48.4,0.1,"[48.4, 48.3]"\n')
    known = read_known(path)
    assert known.totals == {"rec": 54.8, "ocr": 18.8, "total": 48.4}
    assert known.grades == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "0 lines"),
        ("rec,total\n1,2\n3,4\n", "2 lines"),
        ("rec\n1\n", "has no column 'total'"),
        ("rec,total\nmuch,2\n", "column 'rec': 'much'"),
        ("rec,total\n1,200\n", "column 'total': '200' · expected points from 0 to 100"),
        ("rec,total\n1,nan\n", "column 'total': 'nan'"),
        ("rec,total\n1\n", "column 'total': None"),
    ],
)
def test_what_are_no_totals(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "totals.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=said):
        read_known(path)


def test_samples_of_another_task_are_refused(tmp_path: Path) -> None:
    assert common({"a": 1, "b": 1}, {"b": 0, "c": 0}, tmp_path) == ["b"]
    with pytest.raises(RunError, match=r"its samples \(a, …\) are not those of the run"):
        common({"a": 1}, {"c": 0}, tmp_path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for name in ("none.json", "none.csv"):
        with pytest.raises(DataError, match=f"{name}: cannot be read"):
            read_known(tmp_path / name)
    with pytest.raises(RunError, match="cannot be read"):
        read_known(tmp_path)
