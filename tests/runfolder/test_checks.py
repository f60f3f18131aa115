"""What is wrong with lines without a digest; each fault: `tests/cli/test_tampered.py`."""

from pathlib import Path

import pytest

from tests.runs import make_joint, settings
from vipbench import files
from vipbench.errors import RunError
from vipbench.run.loop import run
from vipbench.runfolder.checks import check_requests, check_scores
from vipbench.runfolder.folder import SCORES
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import Manifest


@pytest.fixture
def joint(tmp_path: Path) -> tuple[Path, Manifest]:
    make_joint(tmp_path, n=6)
    fields: dict[str, object] = {
        "tasks": ("both",),
        "styles": "demo,none",
        "metrics": ("text_match",),
    }
    results = run(settings(tmp_path, **fields))
    return results.path, results.manifest


def test_a_whole_run_passes(joint: tuple[Path, Manifest]) -> None:
    asked = check_requests(*joint)
    assert len(asked) == 24
    check_scores(*joint, asked)


def test_each_metric_has_every_sample(joint: tuple[Path, Manifest]) -> None:
    folder, manifest = joint
    lines = list(files.read_lines(folder / SCORES, ScoreLine))
    fewer = [
        line for line in lines if (line.id, line.metric, line.task) != ("q3", "text_match", "first")
    ]
    assert len(fewer) == len(lines) - 2
    files.write_lines(folder / SCORES, fewer)
    with pytest.raises(
        RunError, match=r"holds 5 scores of first under demo by text_match, but .* 6"
    ):
        check_scores(folder, manifest, check_requests(folder, manifest))


def test_a_joint_task_has_the_samples_of_its_parts(joint: tuple[Path, Manifest]) -> None:
    folder, manifest = joint
    lines = list(files.read_lines(folder / SCORES, ScoreLine))
    assert lines[-1].task == "both"
    strange = lines[-1].model_copy(update={"id": "q77"})
    files.write_lines(folder / SCORES, [*lines[:-1], strange])
    with pytest.raises(RunError, match=rf"scores\.jsonl:{len(lines)}: both none q77 is not in"):
        check_scores(folder, manifest, check_requests(folder, manifest))
