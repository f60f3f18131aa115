"""Disk: what is here, what is to be fetched, what will be written."""

from pathlib import Path

from tests.planning.made import make_7b, plan_paper
from tests.runs import make_task
from vipbench.planning.plan import PlanOptions, make_plan
from vipbench.run.settings import RunSettings


def test_what_is_not_here_is_to_be_fetched(tmp_path: Path) -> None:
    plan = plan_paper(make_7b(tmp_path / "vip-llava-7b"))
    room = {each.what: each for each in plan.disk}
    assert list(room) == [
        "checkpoint", "data visual7w", "data pointqa", "data vcr", "data vip_bench", "run folder",
    ]  # fmt: skip
    checkpoint = room["checkpoint"]
    assert checkpoint.n_bytes is not None
    assert (checkpoint.n_bytes // 10**8, checkpoint.state) == (141, "to fetch")
    assert room["data visual7w"].n_bytes == 1_860_148_318 + 40_900_000
    assert room["data vcr"].text.startswith("vipbench data fetch vcr says how; of ")
    assert room["run folder"].state == "to write"


def test_what_is_here_is_here(tmp_path: Path) -> None:
    make_task(tmp_path)
    settings = RunSettings(runner="constant", tasks=("own",), include=(tmp_path,))
    room = make_plan(settings, PlanOptions()).disk
    assert [(each.state, each.n_bytes is None) for each in room] == [
        ("here", True),
        ("to write", False),
    ]
