"""BLINK without its pictures: right answers alone, and the outputs that the authors released."""

import gzip
import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from vipbench import files
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import SCORES
from vipbench.runfolder.lines import ScoreLine

DEPTH = "blink_relative_depth"
DATA = Path(__file__).parents[1] / "data"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path / "cache"))


def answers(folder: Path, letters: str) -> None:
    folder.mkdir()
    known = {f"val_Relative_Depth_{n}": f"({x})" for n, x in enumerate(letters, start=1)}
    (folder / "val_answers.json").write_text(json.dumps(known))


def test_right_answers_alone_are_scored_and_not_asked(vipbench: Vipbench, tmp_path: Path) -> None:
    answers(tmp_path / "blink", "ABAB")
    place = ("--data", f"blink={tmp_path / 'blink'}")
    for runner in ("random", "oracle"):
        ran = vipbench("run", "--runner", runner, "--tasks", DEPTH, *place, "-o", "asked")
        assert ran.code == 2
        assert "the data hold the right answers alone" in ran.err
        assert "`vipbench import TASK=FILE`" in ran.err
    Path("a.csv").write_text(
        "id,text\n" + "".join(f"val_Relative_Depth_{n},(A)\n" for n in range(1, 5))
    )
    ran = vipbench("import", f"{DEPTH}=a.csv", *place, "--model", "m", "-o", "in")
    assert ran.code == 0, ran.err
    assert [line.value for line in scores("in")] == [1, 0, 1, 0]
    assert {line.metric for line in scores("in")} == {"blink"}
    assert vipbench("report", "in", "-o", "page").code == 0
    assert "picture  none" in vipbench("show", "in", "val_Relative_Depth_1").out
    assert vipbench("import", f"{DEPTH}@given=a.csv", *place, "--model", "m", "-o", "as").code == 0


def scores(folder: str) -> list[ScoreLine]:
    return list(files.read_lines(Path(folder) / SCORES, ScoreLine))


def saved_outputs(path: Path, gold: str = "ABAB") -> Path:
    """Write a file of released outputs: a list of both splits, the model's text and its reading."""
    texts = ["Well, (A).", "B", "(B) B is closer", "I cannot say"]
    read = ["(A)", "(B)", "(A) A is closer", "(Z)"]
    val = [
        {"idx": f"val_Relative_Depth_{n}", "answer": f"({right})", "full_prediction": text}
        | {"prediction": extracted}
        for n, (text, extracted, right) in enumerate(zip(texts, read, gold, strict=True), start=1)
    ]
    test = [record | {"idx": record["idx"].replace("val", "test"), "answer": "hidden"}
            for record in (*val, *val)]  # fmt: skip
    path.write_text(json.dumps({"val": val, "test": test[:4]}))
    return path


def test_the_released_outputs_are_imported_as_read_and_as_written(
    vipbench: Vipbench, tmp_path: Path
) -> None:
    answers(tmp_path / "blink", "ABAB")
    saved_outputs(Path("depth.json"))
    words = ("--data", f"blink={tmp_path / 'blink'}", "--model", "m")
    ran = vipbench("import", f"{DEPTH}=depth.json", *words, "-o", "read")
    assert ran.code == 0, ran.err
    assert [line.answer for line in scores("read")] == ["A", "B", None, None]
    notes = manifests.read(Path("read")).notes
    assert any("are to other splits or subtasks" in note for note in notes)
    assert any("more than an option, such as '(A) A is closer'" in note for note in notes)
    ran = vipbench("import", f"{DEPTH}=depth.json", *words, "--format", "blink_raw", "-o", "raw")
    assert ran.code == 0, ran.err
    assert [line.answer for line in scores("raw")] == [None, "B", "B", None]
    assert vipbench("score", "raw", "--metric", "stated").code == 0
    stated = [line.answer for line in scores("raw") if line.metric == "stated"]
    assert stated == ["A", "B", "B", None]


def test_other_labels_in_the_outputs_are_told_of(vipbench: Vipbench, tmp_path: Path) -> None:
    answers(tmp_path / "blink", "ABBB")
    saved_outputs(Path("depth.json"))
    words = ("--data", f"blink={tmp_path / 'blink'}", "--model", "m")
    ran = vipbench("import", f"{DEPTH}=depth.json", *words, "-o", "read")
    assert "1 samples have another right answer in the file than in the data" in ran.err


def test_packed_lines_with_an_extraction(vipbench: Vipbench, tmp_path: Path) -> None:
    answers(tmp_path / "blink", "AB")
    lines = [
        {"id": f"{split}_{subtask}_{n}", "text": "so, (B)", "official": "(A)"}
        for split in ("val", "test")
        for subtask in ("Art_Style", "Relative_Depth", "Jigsaw")
        for n in (1, 2)
    ]
    with gzip.open("m.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines)
    words = ("--data", f"blink={tmp_path / 'blink'}", "--model", "m")
    for as_format, answer in (("blink", "A"), ("blink_raw", "B"), ("jsonl", "B")):
        ran = vipbench("import", f"{DEPTH}=m.jsonl.gz", *words, "--format", as_format,
                       "-o", as_format)  # fmt: skip
        assert ran.code == 0, ran.err
        assert {line.answer for line in scores(as_format)} == {answer}
        assert "10 answers are to other splits or subtasks" in ran.err
    ran = vipbench("import", f"{DEPTH}=m.jsonl.gz", *words, "-o", "as_it_looks")
    assert {line.answer for line in scores("as_it_looks")} == {"A"}
    shutil.copy("m.jsonl.gz", "torn.gz")
    Path("torn.gz").write_bytes(Path("torn.gz").read_bytes()[:-20])
    ran = vipbench("import", f"{DEPTH}=torn.gz", *words, "-o", "torn")
    assert (ran.code, "torn.gz: broken gzip" in ran.err) == (2, True)


def test_the_oracle_is_right(vipbench: Vipbench) -> None:
    tasks = "blink_relative_depth,blink_relative_reflectance,blink_object_localization"
    place = ("--data", f"blink={DATA / 'blink'}")
    ran = vipbench("run", "--runner", "oracle", "--tasks", tasks, *place, "--styles",
                   "given,blind", "-o", "run")  # fmt: skip
    assert ran.code == 0, ran.err
    assert {line.value for line in scores("run")} == {1.0}
    assert len(scores("run")) == 24
