"""What readers see of a reproduction."""

import json
from pathlib import Path

from rich.console import Console

from tests.analysis.reproduce.made import V7W, v7w
from vipbench.analysis.reproduce.records import Reproduction
from vipbench.analysis.reproduce.text import summary, table, write
from vipbench.analysis.reproduce.verdicts import reproduce
from vipbench.report.terminal import grid_table


def test_a_narrow_terminal_loses_no_letter(tmp_path: Path) -> None:
    found = reproduce([v7w(tmp_path, 0.8579)], everything=True)
    console = Console(width=50, color_system=None)
    with console.capture() as capture:
        console.print(grid_table(table(found)))
    cells = [cell.split("│") for cell in capture.get().splitlines() if cell.startswith("│")]
    columns = ["".join(part.strip() for part in column) for column in zip(*cells, strict=True)]
    text = "".join(columns)
    assert "…" not in text
    for expected in (V7W, "ViP-LLaVA-7B", "GPT4RoI-13B", "85.79", "[85.49,", "reproduced"):
        assert expected.replace(" ", "") in text.replace(" ", "")


def test_files_hold_what_the_terminal_shows(tmp_path: Path) -> None:
    found = reproduce([v7w(tmp_path / "a_run", 0.87, row={"n_errors": 2000, "n": 55265})])
    paths = write(found, tmp_path / "out")
    assert [path.name for path in paths] == ["reproduce.json", "reproduce.md"]
    plain = json.loads(paths[0].read_text(encoding="utf-8"))
    assert Reproduction.model_validate(plain) == found
    assert plain["comparisons"][0]["verdict"] == "not comparable"
    assert plain["comparisons"][0]["reasons"][0]["code"] == "missing"
    text = paths[1].read_text(encoding="utf-8")
    assert "| visual7w_pointing | ViP-LLaVA-7B | 86.09 | 87.00 [86.70, 87.30] | +0.91 |" in text
    assert "- because: 2,000 of 57,265 samples have no answer" in text
    assert "- disagrees: 86.6 (ViP-LLaVA-7B): primary, Study on LLM backbones, Table 2," in text
    assert "- published protocol: The released ViP-LLaVA script" in text
    assert "13 published numbers of other systems not listed" in text
    assert text.splitlines()[2] == (
        "0 of 2 published numbers reproduced, 0 outside, 2 not comparable."
    )


def test_the_summary_counts_verdicts(tmp_path: Path) -> None:
    found = reproduce([v7w(tmp_path, 0.8532)])
    assert summary(found) == ("1 of 2 published numbers reproduced, 1 outside, 0 not comparable.")
