import math
from pathlib import Path

import pytest

from tests.runfolder.made import answer
from tests.small_runs import line
from vipbench.errors import RunError
from vipbench.runfolder import answers_file
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.lines import (
    ScoreLine,
    Sharing,
    TrialId,
    encoded,
    is_wanted,
    read_values,
)


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


LINES = (
    line("q1", 1 / 3, group="bild\u2028 \u00e4.png", tags={"n": ("1", "2"), "empty": ()}),
    line("q2", None),
    line("q3", 0.0, truncated=True, margin=1e-7, agrees=False, n_marks_lost=2, n_marks_cut=0),
    line("q4", 1.0, truncated=True, state="refused", extracted="none", margin=math.inf),
    line("q5", None, error=None, ungraded="no grade", state="filtered"),
)


def test_a_line_is_encoded_as_pydantic_writes_it() -> None:
    for each in LINES:
        assert encoded(each) == f"{each.model_dump_json()}\n".encode()


def test_the_values_of_lines_are_those_of_all_of_the_line(tmp_path: Path) -> None:
    path = tmp_path / "scores.jsonl"
    path.write_bytes(b"".join(map(encoded, LINES)))
    names = ("task", "style", "id", "metric", "value", "group", "tags")
    expected = [{name: getattr(each, name) for name in names} for each in LINES]
    assert list(read_values(path)) == expected
    path.write_bytes(encoded(LINES[0]) + encoded(LINES[1]).replace(b'"tags":{', b'"tags":{"a":1,'))
    with pytest.raises(RunError, match=r"scores.jsonl:2: "):
        list(read_values(path))
