import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console, RenderableType

from vipbench import files
from vipbench.errors import RunError
from vipbench.report.leaderboard import leaderboard
from vipbench.report.terminal import BreakdownTable, run_table, seed_table
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder import summary
from vipbench.runfolder.folder import SUMMARY
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Identity, Manifest, Settings, TaskRun
from vipbench.runfolder.summary import Row
from vipbench.schema import PromptStyle, Suite, Tags
from vipbench.scoring.summary import over_seeds, summarise

RED: Tags = {"shape": ("rectangle",), "color": ("red",), "size": ("small",), "n_marks": ("1",)}
BLUE: Tags = {"shape": ("ellipse",), "color": ("blue",), "size": ("large",), "n_marks": ("10",)}


def line(
    id_: str,
    value: float | None = 1.0,
    *,
    task: str = "own",
    style: str = "demo",
    tags: Tags = RED,
    **fields: Any,
) -> ScoreLine:
    given: dict[str, Any] = {
        "metric": "text_match",
        "answer": None if value is None else "A",
        "target": "A",
        "group": id_,
        "truncated": False,
        "error": "no image" if value is None else None,
    }
    return ScoreLine(task=task, style=style, id=id_, value=value, tags=tags, **(given | fields))


AXES: tuple[str, ...] = Suite.model_fields["breakdown"].default


def task(n_samples: int, **fields: Any) -> TaskRun:
    given: dict[str, Any] = {
        "version": 1,
        "kind": "choice",
        "headline": "demo",
        "fit": "pad",
        "breakdown": AXES,
    }
    return TaskRun(n_samples=n_samples, **(given | fields))


def manifest(tasks: dict[str, TaskRun], **fields: Any) -> Manifest:
    settings = Settings(
        weights="a" * 64, prompt_format="hf", dtype="float32", decoding="greedy"
    ).model_copy(update=fields.pop("settings", {}))
    identity: dict[str, Any] = {"model": "vip", "seed": 0} | fields
    return Manifest(
        run_id="run",
        identity=Identity(
            suite="custom",
            tasks={name: each.version for name, each in tasks.items()},
            styles={name: (PromptStyle(name="demo"),) for name in tasks},
            limit=None,
            ids=(),
            fits={},
            runner="vipllava",
            settings=settings,
            requests={},
            **identity,
        ),
        settings_digest="b" * 64,
        tasks=tasks,
        n_requests=1,
        batch_size=1,
        plan_digest="c" * 64,
        versions={},
        commit=None,
        dirty=None,
        started="2026-01-01T00:00:00+00:00",
    )


def save(folder: Path, made: Manifest, lines: Iterable[ScoreLine]) -> Path:
    """Write the folder of a finished run."""
    rows = [row.model_dump(mode="json") for row in summarise(made, lines)]
    manifests.write(folder, made)
    files.write_json(folder / SUMMARY, rows)
    return folder


def shown(renderable: RenderableType, width: int) -> str:
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


# --- rows


def test_rows_count_what_was_scored_and_what_was_not() -> None:
    lines = [
        line("1", 1.0),
        line("2", 0.0, group="1"),
        line("3", 0.0, answer=None),
        line("4", 1.0, truncated=True),
        line("5", None),
    ]
    row = summarise(manifest({"own": task(5)}), lines)[0]
    assert (row.n, row.n_expected, row.n_errors) == (4, 5, 1)
    assert (row.n_unparsed, row.n_truncated, row.n_clusters) == (1, 1, 3)
    assert row.accuracy == 0.5
    assert row.stderr is not None
    assert row.group == "all"


def test_a_row_has_the_fields_that_others_read_in_their_order() -> None:
    row = summarise(manifest({"own": task(1)}), [line("1")])[0]
    expected = (
        "task, task_version, style, model, prompt_format, fit, decoding, dtype, seed, metric, "
        "group, n, n_expected, n_clusters, n_errors, n_unparsed, n_truncated, accuracy, stderr, "
        "ci_low, ci_high, synthetic, n_ungraded, n_marks_lost, n_marks_cut, agreement, "
        "margin"
    )
    assert ", ".join(row.model_dump()) == expected
    assert (row.model, row.prompt_format, row.dtype, row.fit) == ("vip", "hf", "float32", "pad")


def test_each_metric_has_rows_of_its_own_the_headline_first() -> None:
    lines = [
        line(id_, value, metric=metric, tags=RED)
        for id_, strict in (("1", 1.0), ("2", 0.0))
        for metric, value in (("text_match", strict), ("lenient", 1.0))
    ]
    rows = summarise(manifest({"own": task(2)}), lines)
    found = [(row.metric, row.n, row.accuracy) for row in rows if row.group == "all"]
    assert found == [("text_match", 2, 0.5), ("lenient", 2, 1.0)]
    assert len(rows) == 2 * len([row for row in rows if row.metric == "lenient"])
    assert {row.metric for row in BreakdownTable(rows).rows} == {"text_match"}
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(run_table(rows))
    text = console.export_text()
    assert "50.0" in text
    assert "(lenient)" in text


def test_an_answer_without_a_grade_is_neither_right_nor_wrong_nor_an_error() -> None:
    lines = [
        line("1", 1.0, metric="judge"),
        line("2", None, metric="judge", error=None, ungraded="prose"),
        line("3", None, metric="judge"),
    ]
    [row] = [r for r in summarise(manifest({"own": task(3)}), lines) if r.group == "all"]
    assert (row.n, row.accuracy, row.n_errors, row.n_ungraded) == (1, 1.0, 1, 1)


def test_the_spread_over_seeds() -> None:
    runs = [
        summarise(manifest({"own": task(4)}, seed=seed), [line(str(i), v) for i, v in values])
        for seed, values in ((3, [(0, 1.0), (1, 0.0)]), (4, [(0, 1.0), (1, 1.0)]), (5, [(0, None)]))
    ]
    [row] = over_seeds(runs)
    assert (row.task, row.metric, row.seeds) == ("own", "text_match", (3, 4, 5))
    assert row.accuracies == (0.5, 1.0, None)
    assert (row.mean, row.lowest, row.highest) == (0.75, 0.5, 1.0)
    assert row.sd == pytest.approx(0.5 / 2**0.5)
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(seed_table([row]))
    assert "35.36" in console.export_text()


def test_where_nothing_was_scored_there_is_no_accuracy() -> None:
    row = summarise(manifest({"own": task(1)}), [line("1", None)])[0]
    assert (row.n, row.n_errors) == (0, 1)
    assert (row.accuracy, row.stderr, row.ci_low, row.ci_high) == (None,) * 4


def test_groups_are_the_axes_of_all_tasks_and_the_tasks_own_in_order() -> None:
    tags: list[Tags] = [
        RED | {"skill": ("ocr", "math"), "unlisted": ("x",)},
        BLUE | {"skill": ("ocr",)},
        RED | {"n_marks": ("2",), "color": ("mixed",)},
        {"skill": ("math",)},
    ]
    lines = [line(str(i), float(i % 2), tags=each) for i, each in enumerate(tags)]
    rows = summarise(manifest({"own": task(4, breakdown=(*AXES, "skill"))}), lines)
    assert {row.group: row.n for row in rows} == {
        "all": 4,
        "shape=rectangle": 2,
        "shape=ellipse": 1,
        "color=red": 1,
        "color=blue": 1,
        "color=mixed": 1,
        "size=small": 2,
        "size=large": 1,
        "n_marks=1": 1,
        "n_marks=2": 1,
        "n_marks=10": 1,
        "skill=math": 2,
        "skill=ocr": 2,
    }
    assert [row.group for row in rows] == list({row.group: 0 for row in rows})
    numbers = [row.group for row in rows if row.group.startswith("n_marks")]
    assert numbers == ["n_marks=1", "n_marks=2", "n_marks=10"]


def test_tasks_and_styles_keep_their_order_and_stay_apart() -> None:
    lines = [
        line("1", 1.0, task="b", style="demo"),
        line("1", 0.0, task="b", style="none"),
        line("1", 1.0, task="a", style="demo"),
    ]
    rows = summarise(manifest({"b": task(1), "a": task(1)}), lines)
    found = [(row.task, row.style, row.accuracy) for row in rows if row.group == "all"]
    assert found == [("b", "demo", 1.0), ("b", "none", 0.0), ("a", "demo", 1.0)]


# --- leaderboards


def table(path: Path, title: str) -> list[list[str]]:
    """Return the cells of the Markdown table under a heading."""
    text = path.read_text().split(f"## {title}\n\n")[1].split("\n\n")[0]
    return [
        [cell.strip() for cell in row.strip("|").split(" | ")]
        for row in text.splitlines()
        if "---" not in row
    ]


def test_a_leaderboard_is_one_table_a_style(tmp_path: Path) -> None:
    lines = [
        line(str(i), float(i < 3), style=style) for style in ("demo", "none") for i in range(4)
    ]
    runs = [
        save(tmp_path / "a", manifest({"own": task(4)}), lines),
        save(
            tmp_path / "b",
            manifest({"own": task(4)}, model="other"),
            [line(str(i), 1.0) for i in range(4)],
        ),
    ]
    paths = leaderboard(runs, tmp_path / "out")
    assert {path.name for path in paths} == {
        *(f"leaderboard.{kind}" for kind in ("md", "csv", "json", "tex")),
        *(f"breakdown.{kind}" for kind in ("md", "csv", "json")),
    }
    assert all(path.exists() for path in paths)
    markdown = tmp_path / "out" / "leaderboard.md"
    assert table(markdown, "Headline style: demo") == [
        ["model", "protocol", "own v1 (pad, n 4)"],
        ["vip", "hf, greedy, float32, seed 0", "75.0 [19.8, 99.3]?"],
        ["other", "hf, greedy, float32, seed 0", "100.0 [39.8, 100.0]?"],
    ]
    assert table(markdown, "Style: none")[1:] == [
        ["vip", "hf, greedy, float32, seed 0", "75.0 [19.8, 99.3]?"]
    ]


def test_json_and_csv_hold_the_rows_as_fractions(tmp_path: Path) -> None:
    run = save(tmp_path / "a", manifest({"own": task(3)}), [line("1"), line("2", 0.0)])
    leaderboard([run], tmp_path)
    rows = summary.read_summary(run)
    listed = json.loads((tmp_path / "leaderboard.json").read_text())
    assert [Row.model_validate(each) for each in listed] == rows[:1]
    listed = json.loads((tmp_path / "breakdown.json").read_text())
    assert [Row.model_validate(each) for each in listed] == rows[1:]
    with (tmp_path / "leaderboard.csv").open() as file:
        (only,) = csv.DictReader(file)
    assert list(only) == list(Row.model_fields)
    assert (only["accuracy"], only["n"], only["synthetic"]) == ("0.5", "2", "false")


def test_subsets_and_errors_are_marked(tmp_path: Path) -> None:
    run = save(tmp_path / "a", manifest({"own": task(250)}), [line("1"), line("2")])
    leaderboard([run], tmp_path)
    assert "100.0 [15.8, 100.0]? (2 of 250)" in (tmp_path / "leaderboard.md").read_text()
    assert "vip (2 of 250)" in (tmp_path / "breakdown.md").read_text()


def test_what_went_wrong_has_a_table_of_its_own(tmp_path: Path) -> None:
    lines = [line("1", 0.0, answer=None), line("2", None), line("3", truncated=True)]
    leaderboard([save(tmp_path / "a", manifest({"own": task(3)}), lines)], tmp_path)
    trouble = table(tmp_path / "leaderboard.md", "Errors, unparsed and truncated answers")
    assert trouble[1][2:] == ["own", "demo", "text_match", "1", "1", "1", "3"]


@pytest.mark.parametrize(
    "other",
    [
        {"version": 2},
        {"synthetic": True},
        {"kind": "graded", "metric": "exact_proxy"},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_cannot_be_compared_never_shares_a_column(
    tmp_path: Path, other: dict[str, Any]
) -> None:
    metric = other.pop("metric", "text_match")
    runs = [
        save(tmp_path / "a", manifest({"own": task(1)}), [line("1")]),
        save(
            tmp_path / "b",
            manifest({"own": task(1, **other)}, model="other"),
            [line("1", 0.0, metric=metric)],
        ),
    ]
    leaderboard(runs, tmp_path)
    head, first, second = table(tmp_path / "leaderboard.md", "Headline style: demo")
    assert len(set(head)) == len(head) == 4
    assert first[2] != "-" == first[3]
    assert second[2] == "-" != second[3]


def test_another_protocol_is_another_line_and_another_fit_another_column(tmp_path: Path) -> None:
    runs = [
        save(tmp_path / "a", manifest({"own": task(1)}), [line("1")]),
        save(
            tmp_path / "b",
            manifest({"own": task(1, fit="squash")}, settings={"prompt_format": "llava_v1"}),
            [line("1")],
        ),
        save(tmp_path / "c", manifest({"own": task(1)}, seed=1), [line("1")]),
    ]
    leaderboard(runs, tmp_path)
    cells = table(tmp_path / "leaderboard.md", "Headline style: demo")
    assert [row[1] for row in cells[1:]] == [
        "hf, greedy, float32, seed 0",
        "llava_v1, greedy, float32, seed 0",
        "hf, greedy, float32, seed 1",
    ]
    assert cells[0][2:] == ["own v1 (pad, n 1)", "own v1 (squash, n 1)"]
    assert [(row[2] == "-", row[3] == "-") for row in cells[1:]] == [
        (False, True),
        (True, False),
        (False, True),
    ]


def test_runs_of_one_model_share_a_line_unless_they_say_different_things(tmp_path: Path) -> None:
    first = save(tmp_path / "a", manifest({"own": task(9)}), [line("1")])
    second = save(tmp_path / "b", manifest({"b": task(1)}), [line("1", task="b")])
    third = save(tmp_path / "c", manifest({"own": task(9)}), [line("1", 0.0), line("2", 0.0)])
    leaderboard([first, second, third, first], tmp_path)
    _, *lines = table(tmp_path / "leaderboard.md", "Headline style: demo")
    assert [row[1] for row in lines] == [
        "hf, greedy, float32, seed 0",
        "hf, greedy, float32, seed 0, run 2",
    ]
    assert [cell.split(" ")[0] for cell in lines[0][2:]] == ["100.0", "100.0"]
    assert [cell.split(" ")[0] for cell in lines[1][2:]] == ["0.0", "-"]


def test_headlines_that_differ_are_named_in_their_columns(tmp_path: Path) -> None:
    tasks = {"own": task(1), "b": task(1, headline="given")}
    lines = [line("1"), line("1", 0.0, style="none"), line("1", 0.0, task="b", style="given")]
    leaderboard([save(tmp_path / "a", manifest(tasks), lines)], tmp_path)
    head, only = table(tmp_path / "leaderboard.md", "Headline style of each task")
    assert head[2:] == ["own v1 (demo, pad, n 1)", "b v1 (given, pad, n 1)"]
    assert [cell.split(" ")[0] for cell in only[2:]] == ["100.0", "0.0"]
    text = (tmp_path / "leaderboard.md").read_text()
    assert "Style: none" in text
    assert "Style: given" not in text


def test_synthetic_data_are_called_so_everywhere(tmp_path: Path) -> None:
    made = manifest({"own": task(1, synthetic=True)})
    leaderboard([save(tmp_path / "a", made, [line("1")])], tmp_path)
    for name in ("leaderboard.md", "leaderboard.tex", "breakdown.md"):
        assert "own v1 (pad, synthetic, n 1)" in (tmp_path / name).read_text().replace("\\_", "_")
    rows = summarise(made, [line("1")])
    for renderable in (run_table(rows), BreakdownTable(rows)):
        assert "synthetic data" in " ".join(shown(renderable, 100).split())


def test_a_breakdown_has_models_side_by_side(tmp_path: Path) -> None:
    runs = [
        save(
            tmp_path / name,
            manifest({"own": task(2)}, model=name),
            [line("1", value, tags=RED), line("2", 1.0, tags=BLUE)],
        )
        for name, value in (("a", 1.0), ("b", 0.0))
    ]
    leaderboard(runs, tmp_path)
    cells = table(tmp_path / "breakdown.md", "own v1 (pad, n 2), style demo")
    assert cells[0] == ["group", "a", "b"]
    assert [row[0] for row in cells[1:4]] == ["all", "shape=rectangle", "shape=ellipse"]
    assert cells[2][1:] == ["100.0 [2.5, 100.0]? (n 1)", "0.0 [0.0, 97.5]? (n 1)"]


def test_names_do_not_break_the_tables(tmp_path: Path) -> None:
    name = "a|b <i>*_50%_&{x}\\ [y]"
    run = save(tmp_path / "a", manifest({"own": task(1)}, model=name), [line("1")])
    leaderboard([run], tmp_path)
    markdown = (tmp_path / "leaderboard.md").read_text()
    assert r"| a\|b \<i>\*_50%_&{x}\\ [y] | hf" in markdown
    latex = (tmp_path / "leaderboard.tex").read_text()
    expected = (
        r"a\textbar{}b \textless{}i\textgreater{}*\_50\%\_\&\{x\}\textbackslash{} {[}y{]} & hf"
    )
    assert expected in latex
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 1
    assert r"100.0 {[}2.5, 100.0{]}? \\" in latex


def test_no_leaderboard_of_what_has_not_ended(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run is here"):
        leaderboard([tmp_path], tmp_path / "out")
    manifests.write(tmp_path, manifest({"own": task(1)}))
    with pytest.raises(RunError, match="has not ended"):
        leaderboard([tmp_path], tmp_path / "out")
    files.write_json(tmp_path / SUMMARY, [{"task": "own"}])
    with pytest.raises(RunError, match=r"summary.json: 0.task_version: "):
        leaderboard([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()


# --- tables for a terminal


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
