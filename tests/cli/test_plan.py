"""`vipbench plan`: what is typed, what is printed."""

import json
from pathlib import Path

from tests.cli.conftest import Vipbench
from tests.planning.made import make_7b, write_bench
from vipbench.planning.records import Plan


def test_the_screen(vipbench: Vipbench) -> None:
    make_7b(Path("vip-llava-7b"))
    ran = vipbench("plan", "--suite", "paper", "--model", "vip-llava-7b", "--devices", "2 x H100")
    assert (ran.code, ran.err) == (0, "")
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "\ntime         2 x H100: about " in ran.out
    assert ran.out.endswith(
        "vipbench run --model vip-llava-7b --suite paper \\\n"
        "  -o results/runs/paper-vip-llava-7b\n"
        "vipbench reproduce results/runs/paper-vip-llava-7b\n"
    )


def test_json(vipbench: Vipbench) -> None:
    make_7b(Path("vip-llava-7b"))
    ran = vipbench("plan", "--suite", "paper", "--model", "vip-llava-7b", "--json")
    assert ran.code == 0
    plan = Plan.model_validate(json.loads(ran.out))
    assert plan.n_requests == 116_650


def test_the_batch_script_says_the_plan_in_comments(vipbench: Vipbench) -> None:
    make_7b(Path("vip-llava-7b"))
    ran = vipbench(
        "plan", "--suite", "paper", "--model", "vip-llava-7b", "--devices", "4 x H100", "--slurm",
        "--comparable-only", "--seed", "3", "--max-errors", "0.1", "-o", "out/paper",
        "--judge-url", "http://localhost:9/v1", "--judge-model", "m",
    )  # fmt: skip
    assert ran.code == 0
    assert max(map(len, ran.out.splitlines())) <= 80
    head, _, rest = ran.out.partition("set -eu\n")
    first, *comments = head.splitlines()
    assert first == "#!/bin/bash"
    assert all(line.startswith("#") for line in comments)
    assert "--array=1-4 --gpus=1" in rest
    assert "--seed 3 --max-errors 0.1" in rest.replace(" \\\n ", "")
    names = [line.partition("=")[0] for line in rest.splitlines() if "=$(sbatch" in line]
    assert names == ["shards", "merge", "score", "reproduce"]


def test_demo_is_planned_without_arguments(vipbench: Vipbench, data: list[str]) -> None:
    ran = vipbench("plan", *data, "--suite", "demo", "--runner", "constant")
    assert ran.code == 0
    assert "the data are synthetic, from the demo generator" in " ".join(ran.out.split())
    assert "time         unknown: no earlier run of constant" in ran.out


def test_mistakes_are_one_line(vipbench: Vipbench) -> None:
    make_7b(Path("vip-llava-7b"))
    write_bench(Path("bench.json"), model="other")
    model = ("plan", "--suite", "paper", "--model", "vip-llava-7b")
    for arguments, fault in (
        (("--devices", "2 x H1000"), "error: --devices '2 x H1000': device 'H1000' is unknown"),
        (("--bench", "bench.json"), "error: --bench bench.json: is about model other"),
        (("--bench", "gone.json"), "error: gone.json: "),
        (("--slurm",), "error: --slurm: says not how many devices"),
        (("--shard", "1/2"), "error: --shard: is a part of a run"),
        (("--judge-model", "m"), "error: --judge-model: needs a judge"),
        (("--tasks", "vcr_qaa"), "error: task 'vcr_qaa' is unknown"),
    ):
        ran = vipbench(*model, *arguments)
        assert ran.code == 2
        assert ran.err.startswith(fault), ran.err
        assert ran.err.count("\n") == 1
