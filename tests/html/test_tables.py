"""The tables: the same numbers as the summaries and the statistics, in the right columns."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.html.made import Item, write_run, write_scores
from vipbench.files import read_lines, write_json
from vipbench.html import tables
from vipbench.html.dataset import collect
from vipbench.html.runs import Run, TaskKey, read_runs, task_keys
from vipbench.html.tables import (
    MIXED,
    Order,
    TaskPart,
    leaderboards,
    slugs,
    task_part,
    troubles,
    with_holm,
)
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder.folder import JUDGE, SCORES
from vipbench.runfolder.lines import ScoreLine
from vipbench.stats.comparisons import paired
from vipbench.stats.intervals import clustered_mean

OWN = TaskKey("own", 1, False)


def part_of(*folders: Path) -> tuple[list[Run], TaskPart]:
    runs = read_runs(folders)
    return runs, task_part(runs, collect(runs).scores, OWN, "own", "own")


def items(answers: str, style: str = "demo") -> list[Item]:
    """Make samples, two an image, answered so; A is right."""
    return [
        Item(id=f"q{n}", answer=answer, style=style, group=f"{n // 2}.png")
        for n, answer in enumerate(answers)
    ]


def test_a_cell_of_the_leaderboard_is_its_row(tmp_path: Path, images: Path) -> None:
    run = write_run(tmp_path / "run", items("AABA"), images=images, n_samples=9)
    [read] = read_runs([run])
    board, others = leaderboards([read], [OWN])
    [cell] = board.lines[0].cells
    row = read.row(OWN, "demo", "text_match")
    assert cell is not None
    assert row is not None
    assert (cell.mean, cell.low, cell.high) == (row.accuracy, row.ci_low, row.ci_high)
    assert (cell.n, cell.whole, cell.n_clusters, cell.few) == (4, 9, 2, True)
    assert cell.link == "#/task=own&style=demo"
    assert others.columns == []


def test_versions_and_data_never_share_a_column(tmp_path: Path, images: Path) -> None:
    runs = read_runs(
        [
            write_run(tmp_path / "a", items("AA"), images=images),
            write_run(tmp_path / "b", items("AA"), images=images, version=2),
            write_run(tmp_path / "c", items("AA"), images=images, synthetic=True),
        ]
    )
    board, _ = leaderboards(runs, task_keys(runs))
    assert len(board.columns) == 3
    for number, line in enumerate(board.lines):
        assert [cell is not None for cell in line.cells] == [n == number for n in range(3)]


def test_the_heat_map_is_by_shape_and_color(tmp_path: Path, images: Path) -> None:
    asked = [
        Item(id="1", shape="ellipse", color="red", answer="A"),
        Item(id="2", shape="ellipse", color="red", answer="B"),
        Item(id="3", shape="rectangle", color="blue", answer="A"),
        Item(id="1", style="other", shape="ellipse", color="red", answer="B"),
        Item(id="1", style="none", answer="B"),
    ]
    _, part = part_of(write_run(tmp_path / "run", asked, images=images))
    [heat_map] = part.heat_maps
    assert (heat_map.shapes, heat_map.colors) == (["rectangle", "ellipse"], ["red", "blue"])
    [[empty, blue], [red, also_empty]] = heat_map.cells
    assert empty is None
    assert also_empty is None
    assert blue is not None
    assert red is not None
    expected = clustered_mean([1, 0, 0], ["1.png"] * 3)
    assert (red.mean, red.low, red.high) == (expected.mean, expected.ci_low, expected.ci_high)
    assert (red.n, blue.n, blue.mean) == (3, 1, 1)
    assert red.link == "#/task=own&shape=ellipse&color=red"


def test_mixed_marks_are_in_no_heat_map(run: Path) -> None:
    runs = read_runs([run])
    scores = collect(runs).scores
    found = scores.by_mark[0, OWN]
    found[MIXED, MIXED] = found.pop(("rectangle", "red"))
    [heat_map] = task_part(runs, scores, OWN, "own", "own").heat_maps
    assert heat_map.shapes == ["ellipse"]


def test_the_gain_from_the_mark_is_paired(tmp_path: Path, images: Path) -> None:
    asked = items("AAAABA") + items("ABBABB", "none") + items("BBBBBB", "blind")
    _, part = part_of(write_run(tmp_path / "run", asked, images=images))
    [control] = part.controls
    assert part.control_names == ["none", "blind"]
    expected = paired([1, 0, 0, 1, 0, 0], [1, 1, 1, 1, 0, 1], [n // 2 for n in range(6)])
    assert control.gain is not None
    assert (control.gain.mean, control.gain.n) == (expected.difference, 6)
    assert (control.gain.low, control.gain.high) == expected.bounds()
    blind = control.controls["blind"]
    assert blind is not None
    assert blind.mean == 0


def test_a_control_is_compared_with_marks_or_with_nothing(tmp_path: Path, images: Path) -> None:
    control_first = items("ABBABB", "none") + items("AAAABA")
    _, part = part_of(write_run(tmp_path / "run", control_first, images=images))
    [control] = part.controls
    assert control.headline is not None
    assert control.headline.mean == 5 / 6
    assert control.gain is not None
    assert control.gain.mean == 3 / 6
    _, part = part_of(write_run(tmp_path / "alone", items("ABBABB", "none"), images=images))
    [control] = part.controls
    assert (control.headline, control.gain) == (None, None)


def test_differences_count_flips_and_open_them(tmp_path: Path, images: Path) -> None:
    one = write_run(tmp_path / "one", items("AABB"), images=images)
    two = write_run(tmp_path / "two", items("ABAAA"), images=images, model="new")
    _, part = part_of(one, two)
    [difference] = part.differences
    assert (difference.base, difference.new) == (0, 1)
    assert (difference.gained, difference.lost) == (2, 1)
    assert difference.number.mean == 0.25
    assert (difference.number.n, difference.number.whole) == (4, 5)
    assert difference.gained_link.endswith("between=2-1")
    assert difference.lost_link.endswith("between=1-2")


def test_p_values_are_adjusted_for_their_number(tmp_path: Path, images: Path) -> None:
    asked = [*items("AAAAAAAA"), *items("AAAAAAAA", "other"), *items("A" * 8, "none")]
    answered = [*items("BBBBBABB"), *items("BAAABABB", "other"), *items("B" * 8, "none")]
    one = write_run(tmp_path / "one", asked, images=images)
    runs, part = part_of(one, write_run(tmp_path / "two", answered, images=images, model="new"))
    assert [each.style for each in part.differences] == ["demo", "other"]
    [alone] = with_holm([part._replace(headlines={"demo", "other"})])
    plain = [each.p for each in part.differences]
    assert plain[0] < plain[1]
    assert [each.p for each in alone.differences] == [2 * plain[0], max(plain[1], 2 * plain[0])]
    [apart] = with_holm([part])  # the headline style is a family of its own
    assert [each.p for each in apart.differences] == plain
    assert len(runs) == 2


def test_the_order_of_two_runs_is_counted_over_styles(tmp_path: Path, images: Path) -> None:
    one = write_run(
        tmp_path / "one", items("AAA") + items("ABB", "other") + items("AAA", "none"), images=images
    )
    two = write_run(
        tmp_path / "two", items("ABB") + items("AAB", "other") + items("BBB", "none"), images=images
    )
    assert part_of(one, two)[1].orders == [Order(0, 1, 1, ["other"], 0, 2)]
    three = write_run(tmp_path / "three", items("AAA") + items("AAA", "other"), images=images)
    assert part_of(one, three)[1].orders == [Order(1, 0, 1, [], 1, 2)]


def test_one_marked_style_gives_no_ranking(tmp_path: Path, images: Path) -> None:
    one = write_run(tmp_path / "one", items("AA") + items("AA", "none"), images=images)
    two = write_run(tmp_path / "two", items("AB") + items("AB", "none"), images=images)
    assert part_of(one, two)[1].orders == []


def test_groups_are_those_of_the_headline_style(tmp_path: Path, images: Path) -> None:
    asked = [
        Item(id="1", shape="ellipse"),
        Item(id="2", shape="arrow", answer="B"),
        Item(id="3", style="other", shape="mask"),
    ]
    _, part = part_of(write_run(tmp_path / "run", asked, images=images))
    [by_shape] = part.groups
    assert by_shape.title == "shape"
    assert {bar.label: bar.number.mean for bar in by_shape.bars} == {"ellipse": 1, "arrow": 0}


def test_what_accuracy_does_not_show_is_listed(tmp_path: Path, images: Path) -> None:
    asked = [
        Item(id="1"),
        Item(id="2", answer=None),
        Item(id="3", answer="well, well"),
        Item(id="4", answer="B", finish="length"),
    ]
    runs = read_runs([write_run(tmp_path / "run", asked, images=images)])
    [found] = troubles(runs, [OWN])
    assert (found.n, found.errors, found.unparsed, found.truncated) == (4, 1, 1, 1)
    assert found.link == "#/task=own&style=demo&run=1&state=error"


def test_slugs_are_plain_and_different() -> None:
    assert slugs(["a b", "a/b", "../x", "ok_1"]) == ["a-b", "a-b-", "---x", "ok_1"]


def test_grades_of_different_judges_never_share_a_column(tmp_path: Path, images: Path) -> None:
    folders = []
    for name, judge in (("a", "gpt-4"), ("b", "qwen"), ("c", "gpt-4")):
        folder = write_run(tmp_path / name, items("AA"), images=images, model=name, kind="graded")
        lines = list(read_lines(folder / SCORES, ScoreLine))
        graded = [line.model_copy(update={"metric": "judge", "value": 0.5}) for line in lines]
        write_scores(folder, manifests.read(folder), [*lines, *graded])
        write_json(folder / JUDGE, {"judge": {"model": judge, "prompt_digest": 64 * "a"}})
        folders.append(folder)
    runs = read_runs(folders)
    _, others = leaderboards(runs, [OWN])
    assert [column.name for column in others.columns] == ["judge gpt-4", "judge qwen"]
    places = [[cell is not None for cell in line.cells] for line in others.lines]
    assert places == [[True, False], [False, True], [True, False]]
    more = [set(answers.more) for answers in collect(runs).dataset.answers]
    assert more == [{"judge gpt-4"}, {"judge qwen"}, {"judge gpt-4"}]
    _, alone = leaderboards(read_runs([folders[0], folders[2]]), [OWN])
    assert [column.name for column in alone.columns] == ["judge"]


def test_what_is_asked_of_all_runs_is_asked_once(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    has_fits = tables._has_fits

    def counted(runs: Sequence[Run], task: TaskKey) -> bool:
        asked.append(len(runs))
        return has_fits(runs, task)

    monkeypatch.setattr(tables, "_has_fits", counted)
    folders = [
        write_run(tmp_path / f"{n}", [Item()], images=images, model=f"m{n}", seed=n)
        for n in range(6)
    ]
    read = read_runs(folders)
    leaderboards(read, task_keys(read))
    assert asked == [6]


def test_many_runs_are_not_held_against_each_other(
    tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [Item(style="demo"), Item(style="other")]
    read = read_runs(
        [write_run(tmp_path / name, items, images=images, model=name) for name in "ab"]
    )
    [key] = task_keys(read)
    scores = collect(read).scores
    assert len(task_part(read, scores, key, "own", "own").orders) == 1
    monkeypatch.setattr(tables, "MOST_ORDERED", 1)
    assert task_part(read, scores, key, "own", "own").orders == []
