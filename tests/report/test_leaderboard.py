"""Leaderboards and breakdowns of several runs."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.small_runs import BLUE, RED, line, manifest, save, task
from vipbench import files
from vipbench.errors import RunError
from vipbench.report.leaderboard import leaderboard
from vipbench.report.terminal import BreakdownTable, run_table
from vipbench.runfolder import manifest as manifests
from vipbench.runfolder import summary
from vipbench.runfolder.folder import JUDGE, SUMMARY
from vipbench.runfolder.summary import SELDOM, Row
from vipbench.scoring.summary import summarise


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
    more = {"name": "vip", "step": None, "weights": "aaaaaaaa", "judge": None, "run": ""}
    listed = json.loads((tmp_path / "leaderboard.json").read_text())
    assert listed == [row.model_dump(mode="json") | more for row in rows[:1]]
    listed = json.loads((tmp_path / "breakdown.json").read_text())
    assert listed == [row.model_dump(mode="json") | more for row in rows[1:]]
    with (tmp_path / "leaderboard.csv").open() as file:
        (only,) = csv.DictReader(file)
    fields = [name for name in Row.model_fields if name not in SELDOM]
    assert list(only) == [*fields, "weights", "judge", "run", "name", "step"]
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


def test_different_weights_of_one_name_are_never_one_model(tmp_path: Path) -> None:
    runs = [
        save(
            tmp_path / letter,
            manifest(
                {"own": task(1)}, model="checkpoint-500", settings={"weights": 64 * letter}
            ).model_copy(update={"name": name}),
            [line("1", value)],
        )
        for letter, name, value in (
            ("a", "expA/checkpoint-500", 1.0),
            ("b", "", 0.0),
            ("c", "", 1.0),
        )
    ]
    leaderboard([*runs, save(tmp_path / "again", manifests.read(runs[2]), [line("1")])], tmp_path)
    names = [
        "expA/checkpoint-500",
        "checkpoint-500 (weights bbbbbbbb)",
        *2 * ["checkpoint-500 (weights cccccccc)"],
    ]
    cells = table(tmp_path / "leaderboard.md", "Headline style: demo")
    protocol = "hf, greedy, float32, seed 0"
    assert [row[0] for row in cells[1:]] == names
    assert [row[1] for row in cells[1:]] == [*3 * [protocol], f"{protocol}, run 2"]
    listed = json.loads((tmp_path / "leaderboard.json").read_text())
    assert [row["model"] for row in listed] == names
    assert [row["weights"] for row in listed] == [letter * 8 for letter in "abcc"]
    assert [row["run"] for row in listed] == ["", "", "", "run 2"]
    assert [row["name"] for row in listed] == ["expA/checkpoint-500", *3 * ["checkpoint-500"]]
    assert [row["step"] for row in listed] == 4 * [500]
    assert names[1] in (tmp_path / "leaderboard.csv").read_text()
    assert names[1] in (tmp_path / "breakdown.md").read_text()


def test_a_note_about_prompts_names_the_model_as_the_table_does(tmp_path: Path) -> None:
    folders = []
    for digit in "ab":
        made = manifest({"own": task(1)}, settings={"weights": 64 * digit})
        notes = ("prompt: another template",) if digit == "b" else ()
        folders.append(
            save(tmp_path / digit, made.model_copy(update={"notes": notes}), [line("q")])
        )
    leaderboard(folders, tmp_path)
    page = (tmp_path / "leaderboard.md").read_text(encoding="utf-8").replace("\\", "")
    assert "vip (weights bbbbbbbb): prompt: another template" in page


def test_a_subset_is_not_a_repetition(tmp_path: Path) -> None:
    whole = save(tmp_path / "a", manifest({"own": task(9)}), [line("1")])
    part = manifest({"own": task(9)})
    part = part.model_copy(update={"identity": part.identity.model_copy(update={"limit": 1})})
    leaderboard([whole, save(tmp_path / "b", part, [line("1")])], tmp_path)
    _, *lines = table(tmp_path / "leaderboard.md", "Headline style: demo")
    assert [row[1] for row in lines] == [
        "hf, greedy, float32, seed 0",
        "hf, greedy, float32, seed 0, limit 1",
    ]


def judged(folder: Path, value: float, **judge: Any) -> Path:
    """Write a run that a judge has graded."""
    graded = manifest({"own": task(1, kind="graded")}, model=folder.name)
    run = save(folder, graded, [line("1", value, metric="judge")])
    if judge:
        files.write_json(run / JUDGE, {"judge": {"prompt_digest": 64 * "a"} | judge, "url": "x"})
    return run


def test_grades_of_different_judges_never_share_a_column(tmp_path: Path) -> None:
    runs = [
        judged(tmp_path / "a", 1.0, model="gpt-4"),
        judged(tmp_path / "b", 1.0, model="gpt-4"),
        judged(tmp_path / "c", 0.0, model="qwen"),
        judged(tmp_path / "d", 0.0, model="qwen", prompt_digest=64 * "b"),
        judged(tmp_path / "e", 0.0),
    ]
    leaderboard(runs[:2], tmp_path)
    head = table(tmp_path / "leaderboard.md", "Headline style: demo")[0]
    assert head[2:] == ["own v1 (pad, judge, n 1)"]
    leaderboard(runs, tmp_path)
    head, *lines = table(tmp_path / "leaderboard.md", "Headline style: demo")
    assert head[2:] == [
        "own v1 (pad, judge gpt-4, n 1)",
        "own v1 (pad, judge qwen, prompt aaaaaaaa, n 1)",
        "own v1 (pad, judge qwen, prompt bbbbbbbb, n 1)",
        "own v1 (pad, judge unknown, n 1)",
    ]
    places = [[cell != "-" for cell in row[2:]] for row in lines]
    assert places == [[column == at for column in range(4)] for at in (0, 0, 1, 2, 3)]
    listed = json.loads((tmp_path / "leaderboard.json").read_text())
    assert [row["judge"] for row in listed][1:3] == ["gpt-4", "qwen, prompt aaaaaaaa"]
    text = (tmp_path / "breakdown.md").read_text()
    assert "own v1 (pad, judge qwen, prompt bbbbbbbb, n 1), style demo" in text


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
        console = Console(width=100, color_system=None)
        with console.capture() as capture:
            console.print(renderable)
        assert "synthetic data" in " ".join(capture.get().split())


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
    expected = r"a\textbar{}b \textless{}i\textgreater{}*\_50\%\_\&\{x\}\textbackslash{} {[}y{]}."
    assert expected in latex
    assert latex.count(r"\toprule") == latex.count(r"\bottomrule") == 1
    assert r"100.0 {[}2.5, 100.0{]}? \\" in latex


def test_no_leaderboard_of_what_has_not_ended(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="holds no run"):
        leaderboard([tmp_path], tmp_path / "out")
    manifests.write(tmp_path, manifest({"own": task(1)}))
    with pytest.raises(RunError, match="has not ended"):
        leaderboard([tmp_path], tmp_path / "out")
    files.write_json(tmp_path / SUMMARY, [{"task": "own"}])
    with pytest.raises(RunError, match=r"summary.json: key '0.task_version' is missing"):
        leaderboard([tmp_path], tmp_path / "out")
    assert not (tmp_path / "out").exists()
