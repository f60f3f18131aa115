"""`vipbench reproduce` as a user meets it: what is printed where, and the exit code."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.results import manifest, row, save_rows, task_run
from tests.runs import bind_again
from vipbench.analysis.reproduce import published
from vipbench.runfolder import folder as store

V7W = "visual7w_pointing"


def finished(folder: str, accuracy: float, model: str = "mucai/vip-llava-7b") -> Path:
    made = manifest(model, {V7W: task_run(V7W, n_samples=57265)})
    return bind_again(save_rows(Path(folder), made, [row(V7W, accuracy, 57265)]))


def test_help(vipbench: Vipbench) -> None:
    code, out, _ = vipbench("reproduce", "--help")
    assert code == 0
    assert out.startswith("Usage: vipbench reproduce")
    assert all(option in out for option in ("--system", "--all", "-o,", "--json"))


def test_reproduced_ends_with_0(vipbench: Vipbench) -> None:
    code, out, err = vipbench("reproduce", finished("run", 0.861))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "2 of 2 published numbers reproduced, 0 outside, 0 not comparable."
    assert sum(line.split()[-1:] == ["reproduced"] for line in lines) == 2
    assert "  decoding: greedy; published: sampled at T = 0.2 without a seed" in lines
    assert lines[-1] == "-o DIR writes what each verdict rests on, and its source."


def test_outside_ends_with_1_and_says_which(vipbench: Vipbench) -> None:
    code, out, err = vipbench("reproduce", finished("run", 0.8532), "-o", "out")
    assert code == 1
    assert err == "error: reproduce: visual7w_pointing, ViP-LLaVA-7B 86.6: outside\n"
    assert out.startswith("1 of 2 published numbers reproduced, 1 outside, 0 not comparable.\n")
    assert out.endswith(f"{Path('out/reproduce.json')}\n{Path('out/reproduce.md')}\n")
    written = Path("out/reproduce.md").read_text(encoding="utf-8")
    assert "1 outside" in written
    assert "MODEL_ZOO.md" in written
    assert "- differs: decoding: greedy; published: sampled at T = 0.2 without a seed" in written


def test_a_run_on_synthetic_data_is_not_comparable(vipbench: Vipbench, done: Path) -> None:
    code, out, _ = vipbench("reproduce", done)
    assert code == 0
    lines = out.splitlines()
    assert lines[0] == "No published number is comparable with what was run."
    words = " ".join(out.split())
    assert "the data are synthetic, from the demo generator." in words
    tasks = words.partition("Not comparable: ")[2].partition(": the data")[0]
    assert set(tasks.split(", ")) == {
        json.loads(line)["task"] for line in (done / store.SCORES).read_text().splitlines()
    }
    code, out, _ = vipbench("reproduce", done, "--system", "ViP-LLaVA-7B")
    assert code == 0
    row = next(line for line in out.splitlines() if line.startswith(V7W))
    assert row.split()[2] == "86.09"
    assert row.rstrip().endswith("not comparable")
    assert "  the data are synthetic, from the demo generator" in out


def test_runs_of_two_seeds_are_one_result(vipbench: Vipbench, data: list[str]) -> None:
    for seed in "01":
        command = ("run", "--runner", "random", "--tasks", "vcr_q2ar,visual7w_pointing", *data)
        assert vipbench(*command, "--seed", seed, "-o", f"run{seed}").code == 0
    code, out, _ = vipbench("reproduce", "run0", "run1", "--system", "ViP-LLaVA-7B", "--json")
    assert code == 0
    comparisons = json.loads(out)["comparisons"]
    assert {tuple(each["runs"]) for each in comparisons} == {("run0", "run1")}
    ours = comparisons[0]["ours"]
    alone = [
        json.loads((Path(run) / store.SUMMARY).read_text(encoding="utf-8"))
        for run in ("run0", "run1")
    ]
    by_seed = [
        next(r["accuracy"] for r in rows if (r["task"], r["group"]) == (V7W, "all"))
        for rows in alone
    ]
    assert ours["by_seed"] == by_seed
    assert ours["accuracy"] == pytest.approx(sum(by_seed) / 2)


def test_json_is_all_that_is_printed(vipbench: Vipbench) -> None:
    code, out, err = vipbench("reproduce", finished("run", 0.8532), "--json", "-o", "out")
    assert (code, err.count("\n")) == (1, 1)
    assert out == Path("out/reproduce.json").read_text(encoding="utf-8")
    assert [each["verdict"] for each in json.loads(out)["comparisons"]] == ["reproduced", "outside"]


def test_all_lists_other_systems(vipbench: Vipbench) -> None:
    run = finished("run", 0.861)
    assert "Shikra-13B" not in vipbench("reproduce", run).out
    code, out, _ = vipbench("reproduce", run, "--all")
    assert code == 0
    assert "visual7w_pointing, Shikra-13B: 85.33" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere"),
        (["run", "--system", "ViP-LLaVA-8B"], "did you mean 'ViP-LLaVA"),
        (["run", "unfinished"], "the run has not ended"),
        (["run", "-o", "run/manifest.json"], "is not a folder"),
    ],
)
def test_the_users_mistake_is_one_line_and_exits_2(
    vipbench: Vipbench, arguments: list[str], said: str
) -> None:
    finished("run", 0.861)
    (finished("unfinished", 0.861) / store.SUMMARY).unlink()
    code, out, err = vipbench("reproduce", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_without_a_run_it_says_what_is_missing(vipbench: Vipbench) -> None:
    code, _, err = vipbench("reproduce")
    assert code == 2
    assert "RUN" in err


def test_a_broken_registry_is_an_error(vipbench: Vipbench, monkeypatch: pytest.MonkeyPatch) -> None:
    run = finished("run", 0.861)
    Path("own.yaml").write_text("title: x\nnumbres: []\n", encoding="utf-8")
    monkeypatch.setattr(published, "reference_folder", Path)
    code, out, err = vipbench("reproduce", run)
    assert (code, out) == (2, "")
    assert err.startswith("error: own.yaml: ")
    assert "line 2: unknown key 'numbres' · did you mean 'numbers'?" in err


def test_what_a_model_is_called_cannot_steer_the_terminal(vipbench: Vipbench) -> None:
    code, out, _ = vipbench("reproduce", finished("run", 0.861, "x\x1b[2J"))
    assert code == 0
    assert "\x1b" not in out
