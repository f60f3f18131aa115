"""Make the run folders of `tests/data/old_run` by the code of vipbench 0.1.0, commit e8c55d6.

They hold the format of a run folder in its version 1, as that code wrote it, so later code never
regenerates them. This is how they were made:

    git worktree add ../old e8c55d6
    cp tests/make_old_runs.py ../old/tests
    mkdir /srv/demo && cd /srv/demo        # its path stands in the manifests
    PYTHONPATH=OLD python OLD/tests/make_old_runs.py    # OLD: the path of ../old

`finished` and `early` are finished runs of the two embedded checkpoints. `interrupted` is the run
of `finished`, killed by SIGKILL when some of its batches were answered. Made again they differ in
times, in memory and in when the last one was killed.
"""

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import vipbench

REPO = Path(vipbench.__file__).parents[1]
DATA = ("vcr", "pointqa")
CHECKPOINTS = {"finished": "vipllava-demo", "early": "vipllava-demo-early"}
KILLED_AFTER = 3
"""Answers, of one batch each."""
OPTIONS = [
    *("--tasks", "vcr_q2ar,pointqa_local"),
    *("--styles", "demo,none"),
    *("--limit", "2"),
    *("--ids", "val-0,val-2,2400001-0,2400002-0"),
    *("--metric", "option_argmax"),
    *("--batch-size", "1"),
    *("--device", "cpu"),
]


def command(checkpoint: str, data: Path, out: Path) -> list[str]:
    """Return the command of a run without its program, `vipbench`."""
    model = REPO / "vipbench" / "demo" / "checkpoints" / checkpoint
    sources = [option for name in DATA for option in ("--data", f"{name}={data / name}")]
    return ["run", "--model", str(model), *OPTIONS, *sources, "-o", str(out)]


def start(arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start vipbench in a process of its own."""
    program = (
        f"import sys; sys.argv[1:] = {list(arguments)!r}; from vipbench.cli import main; main()"
    )
    return subprocess.Popen([sys.executable, "-c", program])


def main() -> None:
    """Write data and runs below the working directory."""
    data = Path("data").absolute()
    for name in DATA:
        shutil.copytree(REPO / "tests" / "data" / name, data / name)
    for run, checkpoint in CHECKPOINTS.items():
        assert start(command(checkpoint, data, Path(run))).wait() == 0
    responses = Path("interrupted", "responses.jsonl")
    process = start(command(CHECKPOINTS["finished"], data, responses.parent))
    while not (responses.exists() and responses.read_bytes().count(b"\n") >= KILLED_AFTER):
        assert process.poll() is None
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    main()
