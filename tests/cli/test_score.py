"""`vipbench score` as a user meets it; with a judge: `test_judge.py`."""

from pathlib import Path

from tests.cli.conftest import Vipbench
from vipbench.runfolder.folder import SCORES, SUMMARY


def test_score_prints_what_run_printed(vipbench: Vipbench, data: list[str]) -> None:
    ran = vipbench("run", "--runner", "majority", *data, "-o", "done")
    scores, summary = Path("done", SCORES), Path("done", SUMMARY)
    before = scores.read_bytes(), summary.read_bytes()
    scores.unlink()
    summary.unlink()
    again = vipbench("score", "done")
    assert (again.code, again.out) == (0, ran.out)
    assert (scores.read_bytes(), summary.read_bytes()) == before
