"""Tables for a terminal."""

from rich.console import Console, RenderableType

from tests.small_runs import RED, line, manifest, task
from vipbench.report.terminal import (
    BreakdownTable,
    SparingTable,
    grid_table,
    run_table,
    seed_table,
)
from vipbench.report.text import Grid
from vipbench.scoring.summary import over_seeds, summarise


def shown(renderable: RenderableType, width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_a_grid_loses_no_letter_and_obeys_no_markup() -> None:
    grid = Grid("[b]title", ("a task", "n"), [("[red]a_name_that_is_long", "1,000")], words=(0,))
    text = shown(grid_table(grid), 20)
    assert "[b]title" in text
    assert "…" not in text
    cells = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
    assert "".join(cells) == "[red]a_name_that_is_long"
    assert "1,000 │" in text


def test_columns_are_spared_as_far_as_numbers_need_room_and_no_further() -> None:
    grid = Grid("t", ("task", "n", "a", "b"), [("a_long_name", "1.25 (few)", "-10.0", "7")], (0,))
    table = SparingTable(grid, (("b", "a"), ("n",)), "FILE", "task")
    assert "No room" not in shown(table, 43)
    assert "│ a_long_name │ 1.25 (few) │ -10.0 │ 7 │" in shown(table, 43)
    remark_below = shown(table, 38)
    assert "│  1.25 │ -10.0 │ 7 │" in remark_below
    assert "│ (few) │       │   │" in remark_below
    assert "No room" not in remark_below
    assert "No room for a, b: widen the\nterminal, or see FILE." in shown(table, 28)
    assert "No room for n, a, b:" in shown(table, 20).replace("\n", " ")


def test_a_title_is_broken_as_names_are() -> None:
    grid = Grid("runs/a_very_long_name_of_a_run", ("task", "n"), [("a_name", "1")], words=(0,))
    first, second, third, *_ = (line.strip() for line in shown(grid_table(grid), 60).splitlines())
    assert (first, second, third) == ("runs/a_very_", "long_name_of_", "a_run")


def test_metrics_beside_the_headline_are_named_and_not_broken_down() -> None:
    lines = [
        line(id_, value, metric=metric, tags=RED)
        for id_, strict in (("1", 1.0), ("2", 0.0))
        for metric, value in (("text_match", strict), ("stated", 1.0))
    ]
    rows = summarise(manifest({"own": task(2)}), lines)
    assert {row.metric for row in BreakdownTable(rows).rows} == {"text_match"}
    text = shown(run_table(rows), 100)
    assert "50.0" in text
    assert "(stated)" in text


def test_the_spread_over_seeds_is_shown_in_percent() -> None:
    runs = [
        summarise(manifest({"own": task(4)}, seed=seed), [line(str(i), v) for i, v in values])
        for seed, values in ((3, [(0, 1.0), (1, 0.0)]), (4, [(0, 1.0), (1, 1.0)]), (5, [(0, None)]))
    ]
    text = shown(seed_table(over_seeds(runs)), 100)
    assert "accuracy over 3 seeds, %" in text
    for expected in ("75.0", "35.36", "50.0", "100.0"):
        assert expected in text


def test_the_table_of_a_run_has_styles_side_by_side() -> None:
    lines = [line("1"), line("2", 0.0), line("1", style="none"), line("2", None, style="none")]
    rows = summarise(manifest({"own": task(2)}), lines)
    text = shown(run_table(rows), 100)
    assert "50.0 [1-99]?" in text
    assert "100.0 [3-100]? (1 of 2)" in text
    assert "errors" in text
    assert "unparsed" not in text


def test_a_breakdown_table_is_no_wider_than_the_terminal() -> None:
    names = [f"a_task_with_a_long_name_{i}" for i in range(9)]
    lines = [line("1", task=name, style=style) for name in names for style in ("demo", "none")]
    rows = summarise(manifest({name: task(1) for name in names}), lines)
    for width in (60, 100, 250):
        text = shown(BreakdownTable(rows, {"demo"}), width)
        assert max(map(len, text.splitlines())) <= width
        assert text.count("100.0 (1)") == 9 * 2
        assert "none" not in text
        assert "size=" not in text
    assert text.count("accuracy by kind of mark") < 9


def test_an_axis_that_begins_like_another_is_not_shown_as_it() -> None:
    axes = ("shape", "shape=x")
    lines = [line("1", tags={"shape": ("arrow",), "shape=x": ("y",)})]
    rows = summarise(manifest({"own": task(1, breakdown=axes)}), lines)
    text = shown(BreakdownTable(rows, None, ("shape",), axes), 100)
    assert "shape=arrow" in text
    assert "shape=x" not in text


def test_the_table_of_many_styles_has_them_as_lines_in_80_columns() -> None:
    name = "a_task_with_a_name_that_is_much_too_long_for_one_line_of_any_terminal_that_people_use"
    styles = [f"rectangle:red:width={n}:alpha=96" for n in range(12)]
    lines = [line("1", task=task_, style=style) for task_ in ("own", name) for style in styles]
    rows = summarise(manifest({"own": task(1), name: task(1)}), lines)
    for width in (80, 160):
        text = shown(run_table(rows), width)
        assert max(map(len, text.splitlines())) <= width
        assert text.count("100.0 [3-100]?") == 2 * 12
        assert "…" not in text
        rows_ = [line.split("│")[1:-1] for line in text.splitlines() if line.startswith("│")]
        tasks, shown_styles, *_ = (
            "".join(map(str.strip, cells)) for cells in zip(*rows_, strict=True)
        )
        assert tasks == f"own{name}"
        assert shown_styles == 2 * "".join(styles)
    one = [row for row in rows if row.style == styles[0]]
    text = shown(run_table(one), 80)
    assert max(map(len, text.splitlines())) <= 80
    assert text.count("┏") == 1  # one style stays in the usual table
    cells = [line.split("│")[1].strip() for line in text.splitlines() if line.startswith("│")]
    assert name in "".join(cells)


def test_headers_are_broken_between_their_words_only() -> None:
    names = ("visual7w_pointing", "pointqa_looktwice", "vip_bench_drawn", "a_word_ofsixteenletters")
    lines = [line("1", task=name, tags=RED) for name in names]
    rows = summarise(manifest({name: task(1) for name in names}), lines)
    others = ("style", "demo", "group", "accuracy", "mean", "sd", "lowest", "highest", "task")
    whole = {part for name in (*names, *others) for part in name.replace("_", "_ ").split()}
    grid = Grid("", ("task", *names), [("1", "2.0", "3.0", "4.0", "5.0")])
    seeds = over_seeds([rows, rows])
    tables = (BreakdownTable(rows), run_table(rows), grid_table(grid), seed_table(seeds))
    for table in tables:
        for width in (70, 80, 100):
            text = shown(table, width)
            assert max(map(len, text.splitlines())) <= width
            heads = [line for line in text.splitlines() if line.startswith("┃")]
            cells = {cell.strip() for line in heads for cell in line.split("┃")[1:-1]}
            assert {part for cell in cells for part in cell.replace("_", "_ ").split()} <= whole


def test_a_right_column_is_broken_between_numbers() -> None:
    grid = Grid("", ("task", "difference"), [("a", "-12.5 [-25.9, +2.1]")] * 2, words=(0,))
    text = shown(grid_table(grid), 24)
    assert [line.split("│")[2].strip() for line in text.splitlines() if line.startswith("│")] == [
        "-12.5 [-25.9,",
        "+2.1]",
    ] * 2
