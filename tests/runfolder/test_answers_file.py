from pathlib import Path

import pytest

from tests.runfolder.made import PLAN, answer, responses, trials
from vipbench.errors import RunError
from vipbench.runfolder import answers_file
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.lines import ResponseLine, TrialId


def test_answers_come_back_as_they_were(tmp_path: Path) -> None:
    found = answers_file.read_responses(responses(tmp_path))
    assert found[TrialId("t", "s", "c")] == answer("c", 0)
    assert len(found) == 4
    assert answers_file.read_responses(tmp_path / "nowhere.jsonl") == {}


def test_cut_anywhere_the_whole_batches_are_kept(tmp_path: Path) -> None:
    path = responses(tmp_path)
    whole = path.read_bytes()
    ends = [i + 1 for i, byte in enumerate(whole) if byte == ord("\n")]
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        done = answers_file.resume_responses(path, PLAN, trials(tmp_path))
        kept = ends[3] if cut >= ends[3] else ends[1] if cut >= ends[1] else 0
        assert path.stat().st_size == kept
        assert done == {ends[3]: {0, 1}, ends[1]: {0}, 0: set()}[kept]


def test_resume_without_answers_starts_at_the_beginning(tmp_path: Path) -> None:
    assert answers_file.resume_responses(tmp_path / RESPONSES, PLAN, trials(tmp_path)) == set()


@pytest.mark.parametrize(
    "line",
    [
        answer("a", 1),
        answer("a", 7),
        answer("a", -1),
        answer("z", 0),
        answer("a", 0).model_copy(update={"key": "another"}),
    ],
    ids=["another batch", "no such batch", "negative batch", "no such sample", "another question"],
)
def test_an_answer_that_was_not_asked_for_is_refused(tmp_path: Path, line: ResponseLine) -> None:
    path = tmp_path / RESPONSES
    answers_file.append_responses(path, [line])
    with pytest.raises(RunError, match=r"responses.jsonl:1: .*does not ask"):
        answers_file.resume_responses(path, PLAN, trials(tmp_path))


def test_the_same_answer_twice_is_refused(tmp_path: Path) -> None:
    path = responses(tmp_path)
    answers_file.append_responses(path, [answer("a", 0)])
    with pytest.raises(RunError, match=r"responses.jsonl:5: "):
        answers_file.resume_responses(path, PLAN, trials(tmp_path))


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = responses(tmp_path)
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([lines[0], b'{"text": 3}', *lines[2:]]))
    with pytest.raises(RunError, match=r"responses.jsonl:2: .*expected a ResponseLine"):
        answers_file.resume_responses(path, PLAN, trials(tmp_path))


def test_a_full_disk_loses_nothing_and_is_said() -> None:
    with pytest.raises(RunError, match=r"No space left on device.*answered is lost.*resume"):
        answers_file.append_responses(Path("/dev/full"), [answer("a", 0)])


def test_answers_are_found_by_another_process_as_here(tmp_path: Path) -> None:
    path, asked = responses(tmp_path), trials(tmp_path)
    located = answers_file.locate(path)
    here = answers_file.Answered(asked, path, are_read=True)
    there = answers_file.Answered(asked, path, are_read=True, located=located)
    assert list(there) == list(here)
    assert (there.n_missing, there.has_option_logprobs) == (0, False)
    path.write_bytes(b"")
    assert answers_file.Answered(asked, path, located=answers_file.locate(path)).n_missing == 4
    chosen = answer("a", 0).model_copy(update={"option_logprobs": (-0.5, -1.0)})
    answers_file.append_responses(path, [chosen])
    located = answers_file.locate(path)
    assert answers_file.Answered(asked, path, located=located).has_option_logprobs


@pytest.mark.parametrize(
    "line",
    [
        answer("a", 0),
        answer("z", 0),
        answer("a", 0).model_copy(update={"key": "another"}),
    ],
    ids=["twice", "no such sample", "another question"],
)
def test_what_another_process_cannot_place_is_named_as_here(
    tmp_path: Path, line: ResponseLine
) -> None:
    path, asked = responses(tmp_path), trials(tmp_path)
    answers_file.append_responses(path, [line])
    with pytest.raises(RunError) as here:
        answers_file.Answered(asked, path, are_read=True)
    with pytest.raises(RunError, match=r"responses.jsonl:5: ") as there:
        answers_file.Answered(asked, path, are_read=True, located=answers_file.locate(path))
    assert str(there.value) == str(here.value)
