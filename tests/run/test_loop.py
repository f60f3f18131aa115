"""None"""

import json
from pathlib import Path

from tests.run.asking import DATA, rows
from tests.runs import make_task, settings
from vipbench.run.loop import run
from vipbench.run.settings import RunSettings
from vipbench.runfolder.folder import SUMMARY
from vipbench.runfolder.summary import ALL, Row
from vipbench.schema import DataSource


def test_oracle_is_right_on_every_benchmark_and_layout(tmp_path: Path) -> None:
    keys = ("visual7w", "pointqa", "vcr", "vip_bench")
    data = {key: DataSource(DATA / key, DATA / key) for key in keys}
    names = (
        "visual7w_pointing",
        "pointqa_looktwice",
        "pointqa_looktwice_super",
        "pointqa_looktwice_object",
        "pointqa_local",
        "vcr_q2ar",
        "vcr_qar_turns",
        "vip_bench_bbox",
        "vip_bench_human",
        "vip_bench_drawn",
    )
    results = run(RunSettings(tasks=names, data=data, runner="oracle", out=tmp_path / "run"))
    found = {row.task: row for row in results.rows if row.group == ALL}
    assert set(found) == {*names, "vcr_qa", "vcr_qar"}
    assert {row.accuracy for row in found.values()} == {1.0}
    assert {row.n_errors + row.n_unparsed for row in found.values()} == {0}
    assert {row.metric for row in found.values() if row.task.startswith("vip_bench")} == {
        "exact_proxy"
    }


def test_constant_gives_what_the_rows_say(tmp_path: Path) -> None:
    make_task(tmp_path, n=20)
    results = run(settings(tmp_path, runner="constant", styles="demo,none"))
    questions = map(json.loads, (tmp_path / "own.jsonl").read_text().splitlines())
    right = [question["answer"] == "A" for question in questions]
    row = rows(results)["own", "demo"]
    assert row.accuracy == sum(right) / 20
    assert (row.n, row.n_expected, row.n_clusters) == (20, 20, 5)
    assert (row.model, row.prompt_format, row.decoding, row.dtype) == ("constant", None, None, None)
    assert None not in (row.stderr, row.ci_low, row.ci_high)
    even = rows(results, "parity=even")["own", "demo"]
    assert (even.n, even.accuracy) == (10, sum(right[::2]) / 10)
    assert rows(results, "n_marks=1")["own", "demo"].n == 20
    assert json.loads((results.path / SUMMARY).read_text()) == [
        row.model_dump(mode="json") for row in results.rows
    ]


def test_the_frames_are_the_files(tmp_path: Path) -> None:
    results = run(settings(make_task(tmp_path)))
    assert list(results.summary.columns) == list(Row.model_fields)
    assert len(results.summary) == len(results.rows)
    assert len(results.scores) == 20
    assert results.scores["value"].mean() == rows(results)["own", "demo"].accuracy
    assert results.path == tmp_path / "run"
