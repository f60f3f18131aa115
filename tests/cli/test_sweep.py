import json
from pathlib import Path

from tests.cli.conftest import Vipbench
from tests.runs import make_task


def test_sweep_prints_and_writes_what_styles_do(vipbench: Vipbench) -> None:
    folder = make_task(Path("task"), n=12)
    styles = "demo,none; rectangle,ellipse x red,blue"
    for runner in ("oracle", "constant"):
        asked = ("--tasks", "own", "--include", folder, "--styles", styles, "--runner", runner)
        assert vipbench("run", *asked, "-o", runner).code == 0
    code, out, err = vipbench("sweep", "oracle", "constant", "-o", "out")
    assert (code, err) == (0, "")
    assert "own: oracle beats constant under 5 of 5 styles" in out
    assert "own, oracle: gain from the mark 0.0 [" in out
    files = [f"sweep.{kind}" for kind in ("json", "md", "tex", "csv")]
    files += [f"sweep-own.{kind}" for kind in ("pdf", "svg", "png")]
    assert out.splitlines()[-7:] == [f"out/{name}" for name in files]
    assert all(Path("out", name).stat().st_size for name in files)
    assert out.startswith("own: accuracy by style, % [95 % interval] (n 12)\n")
    assert "own, oracle: demo and 4 more are best with 100.0 %; 5 images: too few" in out
    rows = json.loads(Path("out/sweep.json").read_text())["styles"]
    assert {row["style"] for row in rows} >= {"demo", "none", "rectangle:red", "ellipse:blue"}
    assert "oracle beats constant" in Path("out/sweep.md").read_text()


def test_sweep_of_no_run_is_one_line(vipbench: Vipbench) -> None:
    code, out, err = vipbench("sweep", "nowhere")
    assert (code, out) == (2, "")
    assert err.startswith("error: nowhere: no such folder · expected the folder of a run")
