"""What is asked: counted where the data are here, by published sizes where they are not."""

from pathlib import Path

import pytest

from tests.runs import make_task
from vipbench.console import QUIET
from vipbench.errors import DataError
from vipbench.planning.asked import TEXT_TOKENS, choose, count_asked, is_here
from vipbench.run.prepare import choice_of
from vipbench.run.settings import RunSettings
from vipbench.runners.registry import find_spec


def asked(**fields: object):  # type: ignore[no-untyped-def]
    settings = RunSettings(runner="constant", **fields)  # type: ignore[arg-type]
    spec = find_spec(settings.runner)(choice_of(settings))
    selection = choose(settings, spec)
    return selection, count_asked(settings, selection, spec, QUIET)


def test_data_that_are_here_are_counted(tmp_path: Path) -> None:
    make_task(tmp_path)
    (tmp_path / "0.png").unlink()
    selection, found = asked(tasks=("own",), include=(tmp_path,), styles="demo,none")
    assert all(map(is_here, selection.tasks))
    rows = found.rows()
    assert [(row.style, row.n_requests, row.n_unusable) for row in rows] == [
        ("demo", 20, 4),
        ("none", 20, 4),
    ]
    assert [(row.n_pictures, row.n_images) for row in rows] == [(16, 4), (16, 4)]
    assert all(load.n_text_tokens > 40 * 16 for load in found.loads)
    assert found.n_bytes > 0
    assert found.unread == []


def test_published_sizes_stand_for_data_that_are_not_here() -> None:
    selection, found = asked(suite="paper")
    assert not any(map(is_here, selection.tasks))
    rows = {row.task: row for row in found.rows()}
    assert {task: row.n_requests for task, row in rows.items()} == {
        "visual7w_pointing": 57265,
        "pointqa_looktwice": 5711,
        "vcr_qa": 26534,
        "vcr_qar": 26534,
        "vip_bench_bbox": 303,
        "vip_bench_human": 303,
    }
    assert found.unread == list(rows)
    assert rows["vcr_qa"].n_images is None
    assert found.loads[0].n_text_tokens == 57265 * TEXT_TOKENS


@pytest.mark.parametrize(
    ("fields", "n"),
    [
        ({"suite": "regression"}, 3000),
        ({"suite": "regression", "limit": 7}, 7),
        ({"suite": "regression", "limit": "all"}, 3000),
        ({"suite": "paper", "limit": 10**8}, 57265),
        ({"suite": "paper", "ids": ("a", "b")}, 2),
    ],
)
def test_fewer_are_asked_where_fewer_are_wanted(fields: dict[str, object], n: int) -> None:
    _, found = asked(**fields)
    assert found.loads[0].n == n


def test_data_that_are_named_have_to_be_there(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    from vipbench.schema import DataSource

    gone = DataSource(tmp_path / "gone", tmp_path / "gone")
    with pytest.raises(DataError, match="does not exist"):
        asked(suite="paper", data={"visual7w": gone})
