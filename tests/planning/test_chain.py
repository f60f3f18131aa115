"""The chain of commands: what it is made of, and that it runs."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.judge_server import JudgeServer
from tests.planning.made import make_7b, plan_paper
from vipbench.demo.generate import make
from vipbench.errors import RunError
from vipbench.planning.chain import WIDTH, Typed, check_slurm, script, shell, slurm_chain
from vipbench.planning.devices import parse_fleet
from vipbench.run.settings import RunSettings
from vipbench.runfolder import manifest as manifests
from vipbench.runners.endpoint_options import EndpointOptions

SBATCH = """#!/bin/bash
# Runs a job at once, as SLURM would when the jobs before it have ended well; prints its id.
set -eu
n=1
for word in "$@"; do
    case "$word" in
        --array=1-*) n=${word#--array=1-} ;;
        --dependency=afterok:*) test -e "done-${word#--dependency=afterok:}" ;;
    esac
done
while [ $# -gt 1 ]; do shift; done
id=$(( $(ls | grep -c ^done- || true) + 1 ))
pids=
for task in $(seq $n); do
    SLURM_ARRAY_TASK_ID=$task SLURM_ARRAY_TASK_COUNT=$n SLURM_ARRAY_TASK_MIN=1 \\
        sh -c "$1" >> log 2>&1 &
    pids="$pids $!"
done
for pid in $pids; do wait $pid; done
touch done-$id
echo "$id;a-cluster"
"""
VIPBENCH = f"""#!/bin/sh
exec {shlex.quote(sys.executable)} -c 'from vipbench.cli import main; main()' "$@"
"""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put an `sbatch` on the path, and this vipbench; return an empty folder to work in."""
    (tmp_path / "bin").mkdir()
    for name, text in (("sbatch", SBATCH), ("vipbench", VIPBENCH)):
        path = tmp_path / "bin" / name
        path.write_text(text)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    for name in ("RANK", "VIPBENCH_JUDGE_KEY", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_the_chain_runs(cluster: Path) -> None:
    data = make(cluster / "data", 2) / "vip_bench"
    with JudgeServer() as server:
        typed = Typed(
            run=(
                *("--suite", "demo", "--styles", "demo", "--device", "cpu", "--limit", "2"),
                *("--runner", "tests.runs:Brightness", "--data", f"vip_bench={data}"),
            ),
            tasks=("--tasks", "vip_bench_drawn"),
            judge=("--judge-url", server.url, "--judge-model", "m", "--judge-runs", "1"),
            max_errors=(),
        )
        settings = RunSettings(suite="demo", device="cpu")
        commands = slurm_chain(
            typed, Path("out dir/a"), settings, parse_fleet("2"),
            uses_gpu=True, reproduces=True, system=None,
        )  # fmt: skip
        text = script(commands, "vipbench", ["a plan", "of two lines"])
        assert "--gpus" not in text
        done = subprocess.run(
            ["bash", "-c", text], cwd=cluster, capture_output=True, text=True, check=False
        )
    log = (cluster / "log").read_text() if (cluster / "log").exists() else ""
    assert (done.returncode, done.stderr) == (0, ""), log
    assert done.stdout.splitlines() == [
        "shards: job 1;a-cluster",
        "merge: job 2;a-cluster",
        "score: job 3;a-cluster",
        "reproduce: job 4;a-cluster",
    ]
    manifest = manifests.read(cluster / "out dir" / "a")
    assert manifest.times.n_answered == 2
    assert sorted(path.name for path in (cluster / "out dir" / "a-shards").iterdir()) == [
        "shard-1-of-2",
        "shard-2-of-2",
    ]
    assert (cluster / "out dir" / "a" / "judge.json").exists()
    assert "No published number is comparable with what was run." in log


def test_a_step_that_fails_ends_the_chain(cluster: Path) -> None:
    typed = Typed(("--suite", "demo", "--model", "gone"), (), (), ())
    commands = slurm_chain(
        typed, Path("a"), RunSettings(), parse_fleet("1"),
        uses_gpu=True, reproduces=False, system=None,
    )  # fmt: skip
    text = script(commands, "vipbench", [])
    done = subprocess.run(["bash", "-c", text], cwd=cluster, capture_output=True, check=False)
    assert done.returncode != 0
    assert "merge" not in (cluster / "log").read_text()


def test_jobs_have_a_gpu_for_each_worker(tmp_path: Path) -> None:
    plan = plan_paper(
        make_7b(tmp_path / "vip-llava-7b"),
        fields={"workers": 4, "out": Path("out/paper")},
        fleet=parse_fleet("8 x H100"),
        slurm=True,
    )
    shards, merge, reproduce = plan.commands
    assert (shards.n_jobs, shards.n_gpus) == (2, 4)
    assert shards.words[-4:] == ("--shard", "auto", "-o", "out/paper-shards")
    assert merge.words == (
        "vipbench", "merge", "out/paper-shards/shard-1-of-2", "out/paper-shards/shard-2-of-2",
        "-o", "out/paper",
    )  # fmt: skip
    assert reproduce.words == ("vipbench", "reproduce", "out/paper")
    text = script(plan.commands, "vipbench", [])
    assert "--array=1-2 --gpus=4" in text
    assert text.count("--dependency=afterok:") == 2
    assert max(map(len, text.splitlines())) <= 80


def test_nothing_is_reproduced_where_there_is_no_number(tmp_path: Path) -> None:
    names = [each.name for each in plan_paper(make_7b(tmp_path / "mine")).commands]
    assert names == ["run"]


@pytest.mark.parametrize(
    ("fields", "devices", "message"),
    [
        ({"live_model": object()}, "2", "a model in memory cannot be sent .* · save it"),
        ({"engine": "ray"}, "2", "--slurm with --engine ray: .* · leave one out"),
        ({}, None, "--slurm: says not how many devices there are · expected --devices too"),
        ({"workers": 2}, "3", "--devices 3 with --workers 2: .* · expected a multiple of 2"),
        (
            {"endpoint": EndpointOptions(headers=("X-Key=secret",))},
            "2",
            "--header X-Key: its value would stand in the batch script · expected NAME=env",
        ),
    ],
)
def test_what_a_cluster_cannot_do(
    fields: dict[str, object], devices: str | None, message: str
) -> None:
    fleet = parse_fleet(devices) if devices else None
    with pytest.raises(RunError, match=message) as error:
        check_slurm(RunSettings(**fields), fleet)  # type: ignore[arg-type]
    assert "secret" not in str(error.value)


def test_a_command_is_broken_before_its_options() -> None:
    words = ["vipbench", "run", "--model", "a b" * 20, "--fresh", "--limit", "2", "-o", "x" * 40]
    text = shell(words)
    assert shlex.split(text.replace("\\\n", "")) == words
    assert len(text.splitlines()) > 1
    short = shell(["vipbench", "run", *["--ids", "name"] * 40])
    assert max(map(len, short.splitlines())) <= WIDTH
