import math
from pathlib import Path

from tests.runfolder.made import answer
from vipbench.runfolder import answers_file
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.lines import TrialId


def test_the_logarithm_of_nothing_comes_back(tmp_path: Path) -> None:
    path = tmp_path / RESPONSES
    line = answer("a", 0).model_copy(update={"option_logprobs": (-0.5, -math.inf)})
    answers_file.append_responses(path, [line])
    assert answers_file.read_responses(path) == {TrialId("t", "s", "a"): line}
