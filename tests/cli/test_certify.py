import json
from pathlib import Path

from tests.cli.conftest import Vipbench
from tests.models import save_checkpoint
from tests.runs import make_task
from vipbench.demo.embedded import CHECKPOINT_EARLY

FEW = ("--tasks", "visual7w_pointing,pointqa_looktwice", "--n", "4", "--device", "cpu")


def test_certify_writes_where_a_run_and_the_gate_find_it(
    vipbench: Vipbench, data: list[str]
) -> None:
    dtype = ("--model", CHECKPOINT_EARLY, "--dtype", "bfloat16", "--batch-size", "3")
    ran = vipbench("certify", *dtype, *FEW, *data)
    assert ran.code == 0, ran.err
    [path] = Path("results/certificates").iterdir()
    assert ran.out.splitlines()[-1] == str(path)
    found = json.loads(path.read_text())
    assert f"{found['n_flipped']} of 4 answers differ from float32 at batch 1" in ran.out
    assert (found["dtype"], found["batch_size"], found["n"]) == ("bfloat16", 3, 4)
    settings = [*dtype, *FEW[:2], *FEW[4:], *data, "--limit", "2"]
    assert vipbench("run", *settings, "-o", "a").code == 0
    assert json.loads(Path("a/manifest.json").read_text())["certificate"]["path"] == str(path)
    gate = vipbench("gate", "a", "a", "--summary", "gate.md")
    assert f"rounding: a: bfloat16, changed {found['n_flipped']} of 4 answers" in gate.err
    assert "- rounding: a: bfloat16" in Path("gate.md").read_text()


def test_the_embedded_checkpoint_in_float32_flips_nothing(
    vipbench: Vipbench, data: list[str]
) -> None:
    ran = vipbench("certify", "--n", "5", "--device", "cpu", *data, "-o", "own/c.json")
    assert ran.code == 0, ran.err
    found = json.loads(Path("own/c.json").read_text())
    assert (found["n"], found["n_flipped"], found["suite"]) == (5, 0, "demo")
    assert not Path("results").exists()


def test_flips_are_shown_with_both_answers(vipbench: Vipbench, tmp_path: Path) -> None:
    folder = make_task(tmp_path / "tasks", n=3, kind="short_answer")
    model = save_checkpoint(tmp_path / "model")
    own = ("--model", model, "--include", folder, "--tasks", "own", "--n", "3")
    ran = vipbench("certify", *own, "--dtype", "bfloat16", "-o", "c.json")
    assert ran.code == 0, ran.err
    flips = json.loads(Path("c.json").read_text())["flips"]
    assert len(flips) > 0
    header = next(line for line in ran.out.splitlines() if line.startswith("task"))
    assert header.split() == ["task", "id", "float32", "bfloat16"]
    for flip in flips:
        assert any(line.startswith(f"own   {flip['id']} ") for line in ran.out.splitlines())


def test_mistakes_are_one_line(vipbench: Vipbench) -> None:
    for arguments, reason in (
        (("--runner", "oracle"), "runner oracle: has no rounding to certify"),
        (("--batch-size", "none"), "--batch-size 'none': expected"),
        (("--model", "nowhere/at-all/three"), "nowhere/at-all/three"),
        (("--dtype", "float8", "--n", "5"), "float8"),
    ):
        ran = vipbench("certify", *arguments)
        assert ran.code == 2
        assert reason in ran.err.splitlines()[-1]
        assert "Traceback" not in ran.err
