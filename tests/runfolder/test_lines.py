import math
from pathlib import Path

from tests.runfolder.made import answer
from tests.small_runs import line
from vipbench.runfolder import answers_file
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.lines import ScoreLine, Sharing, TrialId, is_wanted


def test_the_logarithm_of_nothing_comes_back(tmp_path: Path) -> None:
    path = tmp_path / RESPONSES
    line = answer("a", 0).model_copy(update={"option_logprobs": (-0.5, -math.inf)})
    answers_file.append_responses(path, [line])
    assert answers_file.read_responses(path) == {TrialId("t", "s", "a"): line}


def test_lines_that_are_kept_share_what_is_equal() -> None:
    texts = [line(f"q{n}", group="1.png").model_dump_json() for n in range(2)]
    sharing = Sharing()
    one, two = (sharing.kept(ScoreLine.model_validate_json(text)) for text in texts)
    assert [one.model_dump_json(), two.model_dump_json()] == texts
    assert [one, two] == [ScoreLine.model_validate_json(text) for text in texts]
    assert one.tags is two.tags
    assert one.group is two.group
    assert one.model_copy(update={"state": "refused"}).state == "refused"


def test_a_line_is_wanted_by_its_id_and_one_without_is_left_to_its_reader() -> None:
    assert is_wanted(b'{"further": [1], "id": "q1"}', lambda id_: id_ == "q1")
    assert not is_wanted(b'{"further": [1], "id": "q1"}', lambda id_: id_ == "q2")
    for broken in (b"{", b"[]", b'{"id": 1}', b"{}"):
        assert is_wanted(broken, lambda id_: False)
