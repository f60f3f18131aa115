"""Who graded a run, and how several judges are named."""

from pathlib import Path

import pytest

from vipbench import files
from vipbench.errors import RunError
from vipbench.runfolder.folder import JUDGE
from vipbench.runfolder.judge_file import GradedBy, Judge, judge_labels, read_graded_by

ONE = Judge(model="gpt-4", prompt_digest=64 * "a")


def test_a_judge_has_the_name_that_its_server_gave(tmp_path: Path) -> None:
    assert read_graded_by(tmp_path) is None
    content = {"judge": ONE.model_dump(), "url": "x", "models_returned": {"b": 2, "a": 1}}
    files.write_json(tmp_path / JUDGE, content)
    assert read_graded_by(tmp_path) == GradedBy(ONE, ("a", "b"))
    files.write_json(tmp_path / JUDGE, content | {"models_returned": {}})
    assert read_graded_by(tmp_path) == GradedBy(ONE, ("gpt-4",))
    files.write_json(tmp_path / JUDGE, {"comparable": True})
    assert read_graded_by(tmp_path) is None


def test_a_broken_file_is_named_with_its_key(tmp_path: Path) -> None:
    files.write_json(tmp_path / JUDGE, {"judge": {"model": "m"}})
    with pytest.raises(
        RunError, match=r"judge\.json: key 'judge\.prompt_digest' is missing · judge the run again"
    ):
        read_graded_by(tmp_path)


def test_judges_of_one_name_are_told_apart_by_what_they_were_asked_with() -> None:
    def by(**changes: object) -> GradedBy:
        return GradedBy(ONE.model_copy(update=changes), ("gpt-4-0613",))

    other = GradedBy(ONE, ("gpt-4-turbo",))
    assert judge_labels([by(), other, None, by()]) == {
        by(): "gpt-4-0613",
        other: "gpt-4-turbo",
        None: "unknown",
    }
    same_name = [by(), by(max_tokens=8), by(max_tokens=8, prompt_digest=64 * "b")]
    assert list(judge_labels([*same_name, other]).values()) == [
        "gpt-4-0613, prompt aaaaaaaa, max_tokens 3",
        "gpt-4-0613, prompt aaaaaaaa, max_tokens 8",
        "gpt-4-0613, prompt bbbbbbbb, max_tokens 8",
        "gpt-4-turbo",
    ]
    assert judge_labels([by(), by(model="gpt-4-latest")])[by()] == "gpt-4-0613, asked for as gpt-4"


def test_limits_and_parameters_make_another_judge() -> None:
    def by(**changes: object) -> GradedBy:
        return GradedBy(ONE.model_copy(update=changes), ("qwen",))

    judges = [
        by(),
        by(max_tokens=64),
        by(max_tokens=64, reasoning_tokens=4096),
        by(extra_body='{"seed": 1}'),
        by(omitted=("temperature",)),
    ]
    labels = judge_labels(judges)
    assert len(set(labels.values())) == len(judges)
    assert "reasoning_tokens 4096" in labels[judges[2]]
    assert 'extra_body {"seed": 1}' in labels[judges[3]]
    assert "without temperature" in labels[judges[4]]
    assert "with all" in labels[judges[0]]
