"""VP-Bench, stage 1: rows with pictures in base64; which release it is."""

import hashlib
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from vipbench.api import evaluate
from vipbench.data.samples import load_samples
from vipbench.data.task_data import locate_task
from vipbench.data.tasks import all_styles, load_task
from vipbench.errors import DataError
from vipbench.prompts.request import build_request
from vipbench.runfolder import manifest as manifests
from vipbench.schema import DataSource, Problem, Sample

TASK = "vp_bench_1"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPBENCH_CACHE", str(tmp_path / "cache"))


def records(place: Path) -> list[Sample | Problem]:
    spec = load_task(TASK)
    return list(load_samples(spec, locate_task(spec, {"vp_bench": DataSource(place, place)})))


def table(path: Path, data: Path, **changes: object) -> Path:
    rows = pyarrow.parquet.read_table(data / "vp_bench/vp_bench_stage_1.parquet").to_pylist()
    rows[0] |= changes
    path.mkdir(exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path / "vp_bench_stage_1.parquet")
    return path


def test_the_rows_and_the_text(data: Path) -> None:
    release, first, *_, last = records(data / "vp_bench")
    assert isinstance(first, Sample)
    assert isinstance(last, Sample)
    assert (first.id, first.target, first.tags["vp_shape"]) == ("1", "A", ("box",))
    assert last.choices == ("a cup", "a door", "a lamp")
    assert build_request(first, all_styles()["given"], 0).turns == (
        "What is in the marked part 1?\nA. a cup\nB. a door\nC. a lamp\nD. a dog\n"
        "Answer with the option\u2019s letter from the given choices directly.",
    )
    assert isinstance(release, Problem)
    assert release.warning


def test_a_run_says_which_of_three_releases_it_is_of(data: Path, tmp_path: Path) -> None:
    place = DataSource(data / "vp_bench", data / "vp_bench")
    results = evaluate(
        tasks=[TASK], data={"vp_bench": place}, runner="oracle", out=tmp_path / "run"
    )
    assert {row.accuracy for row in results.rows if row.group == "all"} == {1.0}
    content = (data / "vp_bench/vp_bench_stage_1.parquet").read_bytes()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    [note] = [n for n in manifests.read(tmp_path / "run").notes if "x release" in n]
    for words in ("4 questions", f"md5 {digest}", "38,932", "100K", "14,868"):
        assert words in note


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"answer": "E"}, "answer_not_in_options"),
        ({"answer": "b"}, "answer_not_in_options"),
        ({"B": ""}, "choices"),
        ({"image": None}, "missing_image"),
        ({"question": None}, "bad_record"),
    ],
)
def test_a_broken_row_is_a_problem(
    data: Path, tmp_path: Path, changes: dict[str, object], code: str
) -> None:
    _, first, *others = records(table(tmp_path / "broken", data, **changes))
    assert isinstance(first, Problem)
    assert first.code == code
    assert all(isinstance(other, Sample) for other in others)


def test_no_table(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no vp_bench_stage_1\.parquet"):
        records(tmp_path)
