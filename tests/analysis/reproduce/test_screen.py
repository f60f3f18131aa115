"""One screen: the verdict, a line a number, and what they share once."""

from pathlib import Path

from rich.console import Console

from tests.analysis.reproduce.made import V7W, v7w
from tests.results import manifest, row, save_rows, task_run
from vipbench.analysis.reproduce.screen import COLUMNS, Screen, screen
from vipbench.analysis.reproduce.verdicts import reproduce
from vipbench.report.terminal import plain_table

CAPABILITIES = {"rec": 240, "ocr": 89, "know": 59, "math": 31, "rel": 28, "lang": 16}
PAPER = {"vcr_q2ar": 26534, "vip_bench_bbox": 303, "vip_bench_human": 303, V7W: 57265}


def paper(folder: Path) -> Path:
    """Make a run of suite paper without a judge: most of its numbers cannot be compared."""
    tasks = {task: task_run(task, n_samples=n) for task, n in PAPER.items()}
    tasks |= {part: task_run(part, n_samples=26534) for part in ("vcr_qa", "vcr_qar")}
    rows = [row(V7W, 0.8608, 57265), row("pointqa_looktwice", 0.71, 5711)]
    tasks["pointqa_looktwice"] = task_run("pointqa_looktwice", n_samples=5711)
    for task in ("vip_bench_bbox", "vip_bench_human"):
        rows.append(row(task, 0.48, 303, 0.05, metric="exact_proxy"))
        rows += [
            row(task, 0.4, n, 0.1, metric="exact_proxy", group=f"capability={name}")
            for name, n in CAPABILITIES.items()
        ]
    return save_rows(folder, manifest("llava-hf/vip-llava-7b-hf", tasks), rows)


def printed(shown: Screen) -> list[str]:
    console = Console(width=COLUMNS, color_system=None)
    with console.capture() as capture:
        if shown.table is not None:
            console.print(plain_table(shown.table))
    return [*shown.top, *capture.get().splitlines(), *shown.bottom]


def test_the_paper_fits_on_one_screen(tmp_path: Path) -> None:
    found = reproduce([paper(tmp_path)])
    lines = printed(screen(found))
    assert len(found.comparisons) == 24
    assert len(lines) <= 40
    assert max(map(len, lines[2:])) <= COLUMNS  # the second one holds the run's path
    assert lines[0] == "4 of 24 published numbers reproduced, 0 outside, 20 not comparable."


def test_no_two_lines_are_the_same(tmp_path: Path) -> None:
    found = screen(reproduce([paper(tmp_path)]))
    assert found.table is not None
    rows = list(found.table.rows)
    assert len(set(rows)) == len(rows) == 8
    assert [row[:3] for row in rows[:2]] == [
        ("vip_bench_bbox (Model Zoo)", "given", "48.4"),
        ("vip_bench_bbox (Study on LLM backbones, Table 2)", "given", "48.4"),
    ]
    assert "(" not in "".join(row[0] for row in rows[4:])
    assert found.bottom[0].startswith("8 of 24 numbers listed; 16 that no run of this model can")


def test_a_line_tells_task_style_both_values_and_the_verdict(tmp_path: Path) -> None:
    lines = printed(screen(reproduce([v7w(tmp_path, 0.8532)])))
    [first, second] = [line.split() for line in lines if line.startswith(V7W)]
    same = [V7W, "official_rectangles"]
    assert first == [*same, "86.09", "85.3", "[85.0,", "85.6]", "reproduced"]
    assert second == [*same, "86.6", "85.3", "[85.0,", "85.6]", "outside"]


def test_what_numbers_share_stands_there_once(tmp_path: Path) -> None:
    text = "\n".join(printed(screen(reproduce([paper(tmp_path)]))))
    for shared in (
        "mucai/vip-llava-7b",
        "decoding: greedy; published: sampled",
        "the run was scored by exact_proxy, published is judge",
    ):
        assert text.count(shared) == 1
    assert "  vip_bench_bbox, ViP-LLaVA-7B, as quoted by Inst-IT: 45.5, 54.8 rec" in text


def test_what_is_about_some_numbers_names_them(tmp_path: Path) -> None:
    text = " ".join(" ".join(screen(reproduce([paper(tmp_path)])).bottom).split())
    assert "sampled at T = 0.2 without a seed (visual7w_pointing; pointqa_looktwice)" in text


def test_several_models_are_named(tmp_path: Path) -> None:
    runs = [v7w(tmp_path / "a", 0.86), v7w(tmp_path / "b", 0.88, "mucai/vip-llava-13b")]
    shown = screen(reproduce(runs))
    assert shown.table is not None
    assert {line[0] for line in shown.table.rows} == {"mucai/vip-llava-7b", "mucai/vip-llava-13b"}
    words = " ".join(" ".join(shown.top).split())
    assert f"{runs[0]} (mucai/vip-llava-7b) {runs[1]} (mucai/vip-llava-13b)" in words


def test_other_systems_are_counted_or_listed_below(tmp_path: Path) -> None:
    run = v7w(tmp_path, 0.86)
    assert screen(reproduce([run])).bottom[-2] == (
        "13 published numbers of other systems not listed (--all lists them)."
    )
    shown = screen(reproduce([run], everything=True))
    assert "  visual7w_pointing, Shikra-13B: 85.33" in shown.bottom
    assert shown.table is not None
    assert len(shown.table.rows) == 2


def test_where_nothing_is_comparable_the_reason_is_there(tmp_path: Path) -> None:
    shown = screen(reproduce([v7w(tmp_path, 0.86, "my/own", task={"synthetic": True})]))
    assert shown.table is None
    text = " ".join(" ".join(shown.bottom).split())
    assert shown.top[0] == "No published number is comparable with what was run."
    assert "visual7w_pointing: the data are synthetic, from the demo generator." in text


def test_the_files_are_named_in_place_of_the_advice(tmp_path: Path) -> None:
    found = reproduce([v7w(tmp_path, 0.86)])
    assert screen(found).bottom[-1].startswith("-o DIR writes")
    assert screen(found, ["out/reproduce.md"]).bottom[-1] == "out/reproduce.md"
