import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from vipbench.errors import RunError
from vipbench.judge import ledger
from vipbench.judge.ledger import Grade, grade_key
from vipbench.runfolder.judge_file import Judge

JUDGE = Judge(model="gpt-4-0613", prompt_digest="ab" * 32)
KEY = grade_key(JUDGE, "Which?", "a cup", "a mug")


def grade(run: int = 1, score: float | None = 0.5, **fields: Any) -> Grade:
    given: dict[str, Any] = {
        "key": KEY,
        "reason": None if score is not None else "no score",
        "replies": ("0.5",),
        "model": "gpt-4-0613",
        "judge": JUDGE,
        "task": "t",
        "style": "given",
        "id": "v1_0",
        "n_calls": 1,
        "n_prompt_tokens": 100,
        "n_completion_tokens": 2,
        "n_estimated": 0,
    }
    return Grade(run=run, score=score, **(given | fields))


@pytest.mark.parametrize(
    ("field", "fit", "wrong"),
    [
        ("run", (1, 2), (0, -1)),
        ("score", (0.0, 1.0), (-0.001, 1.001)),
        ("n_calls", (0, 9), (-1,)),
        ("n_prompt_tokens", (0, 9), (-1,)),
        ("n_completion_tokens", (0, 9), (-1,)),
        ("n_estimated", (0, 9), (-1,)),
    ],
)
def test_a_number_of_a_grade_is_held_to_its_range(
    field: str, fit: Sequence[float], wrong: Sequence[float]
) -> None:
    plain = grade().model_dump()
    for number in fit:
        assert getattr(Grade.model_validate(plain | {field: number}), field) == number
    for number in wrong:
        with pytest.raises(ValidationError, match=field):
            Grade.model_validate(plain | {field: number})


def test_a_key_changes_with_all_that_a_grade_depends_on() -> None:
    others = [
        grade_key(JUDGE, "Which one?", "a cup", "a mug"),
        grade_key(JUDGE, "Which?", "a cups", "a mug"),
        grade_key(JUDGE, "Which?", "a cup", "a mug "),
        grade_key(JUDGE, "Which?a", " cup", "a mug"),
        grade_key(JUDGE.model_copy(update={"model": "gpt-4"}), "Which?", "a cup", "a mug"),
        grade_key(JUDGE.model_copy(update={"prompt_digest": "x"}), "Which?", "a cup", "a mug"),
        grade_key(JUDGE.model_copy(update={"temperature": 1.0}), "Which?", "a cup", "a mug"),
        grade_key(JUDGE.model_copy(update={"max_tokens": 4}), "Which?", "a cup", "a mug"),
    ]
    assert len({KEY, *others}) == 9
    assert grade_key(JUDGE, "Which?", "a cup", "a mug") == KEY


def test_what_was_added_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "grades.jsonl"
    with ledger.opened(path) as book:
        assert book.get(KEY, 1) is None
        book.add(grade(1))
        book.add(grade(2, None))
        assert book.get(KEY, 1) == grade(1)
    with ledger.opened(path) as book:
        assert [book.get(KEY, run) for run in (1, 2, 3)] == [grade(1), grade(2, None), None]
        assert book.lines({KEY}) == [grade(1), grade(2, None)]
        assert book.lines({"another"}) == []


def test_a_complete_grade_is_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "grades.jsonl"
    with ledger.opened(path) as book:
        for line in (grade(1, None), grade(1, None, reason="later"), grade(1, 0.5), grade(1, 0.9)):
            book.add(line)
        book.add(grade(1, None, reason="latest"))
        assert book.get(KEY, 1) == grade(1, 0.5)
    assert ledger.read(path).get(KEY, 1) == grade(1, 0.5)
    assert len(path.read_text().splitlines()) == 5


def test_the_last_reason_counts_where_there_is_no_grade(tmp_path: Path) -> None:
    with ledger.opened(tmp_path / "grades.jsonl") as book:
        book.add(grade(1, None))
        book.add(grade(1, None, reason="later"))
        found = book.get(KEY, 1)
    assert found is not None
    assert found.reason == "later"


def test_a_torn_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "grades.jsonl"
    with ledger.opened(path) as book:
        book.add(grade(1))
        book.add(grade(2))
    whole = path.read_bytes()
    second = whole.index(b"\n") + 1
    for end in range(second, len(whole)):
        path.write_bytes(whole[:end])
        assert ledger.read(path).get(KEY, 2) is None
        with ledger.opened(path) as book:
            assert book.get(KEY, 1) == grade(1)
            assert book.get(KEY, 2) is None
        assert path.read_bytes() == whole[:second]  # so what follows is the same for all
    with ledger.opened(path) as book:
        book.add(grade(2))
    assert path.read_bytes() == whole


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "grades.jsonl"
    line = grade(1).model_dump_json()
    path.write_text(f"{line}\n{line.replace('0.5', '1.5', 1)}\n{line}\n")
    said = r"grades\.jsonl:2: score = 1.5 · .* · remove the line"
    with pytest.raises(RunError, match=said) as caught:
        ledger.read(path)
    assert "--fresh" not in str(caught.value)


def test_a_ledger_is_used_by_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "grades.jsonl"
    code = (
        "import sys, pathlib, vipbench.judge.ledger as l, vipbench.errors as e\n"
        "try:\n"
        "    with l.opened(pathlib.Path(sys.argv[1])): print('got it')\n"
        "except e.RunError as error: print(error)\n"
    )

    def other() -> str:
        command = [sys.executable, "-c", code, str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with ledger.opened(path):
        assert "another process is using it" in other()
    assert other() == "got it\n"


def test_a_full_disk_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "grades.jsonl"
    code = (
        "import resource, signal, sys, pathlib\n"
        "from vipbench.judge import ledger\n"
        "from vipbench.errors import RunError\n"
        "from tests.judge.test_ledger import grade\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "with ledger.opened(pathlib.Path(sys.argv[1])) as book:\n"
        "    for run in range(1, 9):\n"
        "        try: book.add(grade(run))\n"
        "        except RunError as error: print(run, error)\n"
        "    assert book.get(grade().key, 8) is None\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    whole = path.read_bytes()
    n = whole.count(b"\n")
    assert 0 < n < 8
    assert whole.endswith(b"\n")
    assert [line.split()[0] for line in done.stdout.splitlines()] == [
        str(run) for run in range(n + 1, 9)
    ]
    assert "make room" in done.stdout
    assert len(ledger.read(path).lines({KEY})) == n


def test_a_folder_is_no_ledger(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="cannot be written"), ledger.opened(tmp_path):
        pass


def test_grades_that_are_not_used_are_named(tmp_path: Path) -> None:
    other = JUDGE.model_copy(update={"model": "qwen"})
    reworded = JUDGE.model_copy(update={"prompt_digest": "cd" * 32})
    longer = JUDGE.model_copy(update={"max_tokens": 9})
    with ledger.opened(tmp_path / "grades.jsonl") as book:
        book.add(grade(1))
        book.add(grade(9))
        for run in (1, 2):
            book.add(grade(run, key=grade_key(other, "Which?", "a cup", "a mug"), judge=other))
        book.add(grade(1, key="k1", judge=JUDGE.model_copy(update={"model": "a-judge"})))
        book.add(grade(1, key="k2", judge=reworded))
        book.add(grade(1, key="k3", judge=longer))
        book.add(grade(1, key="k4"))
        book.add(grade(1, None, key="k5"))
        assert book.unused({KEY}, JUDGE) == {
            "judge a-judge": 1,
            "judge qwen": 2,
            "other parameters (max_tokens 9)": 1,
            "other questions, answers or predictions": 1,
            "prompt cdcdcdcdcdcd": 1,
        }
        assert (
            book.unused({KEY, "k4"}, JUDGE).get("other questions, answers or predictions") is None
        )


@pytest.mark.parametrize(
    ("reply", "score", "n_tokens", "stays"),
    [
        ("0.8", 0.8, 3, True),
        ("0.8\n", 0.8, 3, True),
        ("0.5 because", 0.5, 3, False),
        ("0.", 0.0, 3, False),
        ("1.", 1.0, 3, False),
        ("1", 1.0, 1, True),
        ("1", 1.0, 3, False),  # may have been the start of `1.0`
        ("0", 0.0, 3, False),
        ("0", 0.0, 4, False),  # a server that counts the end of the reply too
    ],
)
def test_old_grades_are_read_by_the_rule_of_today(
    tmp_path: Path, reply: str, score: float, n_tokens: int, *, stays: bool
) -> None:
    path = tmp_path / "grades.jsonl"
    old = grade(1, score, replies=(reply,), n_calls=1, n_completion_tokens=n_tokens)
    with ledger.opened(path) as book:
        book.add(old)
    for line, is_kept in ((old, stays), (old.model_copy(update={"finish": "stop"}), True)):
        path.write_text(line.model_dump_json() + "\n")
        read = ledger.read(path).get(KEY, 1)
        assert read is not None
        assert read.score == (score if is_kept else None)
        assert is_kept or str(read.reason).startswith("no grade by the rule of today: ")
    assert [json.loads(line)["score"] for line in path.read_text().splitlines()] == [score]


def test_the_last_of_several_replies_is_what_an_old_grade_was_read_from(tmp_path: Path) -> None:
    path = tmp_path / "grades.jsonl"
    for replies, is_kept in ((("It is good.", "0.8"), True), (("0.8", "It is good."), False)):
        old = grade(1, 0.8, replies=replies, n_calls=2, n_completion_tokens=5)
        path.write_text(old.model_dump_json() + "\n")
        read = ledger.read(path).get(KEY, 1)
        assert read is not None
        assert read.score == (0.8 if is_kept else None)


def test_a_judge_is_known_as_it_was_asked(tmp_path: Path) -> None:
    asked = JUDGE.model_copy(update={"omitted": ("temperature",)})
    with ledger.opened(tmp_path / "grades.jsonl") as book:
        assert book.as_asked(JUDGE) == JUDGE
        book.add(grade(1, judge=asked))
        assert book.as_asked(JUDGE) == asked
        assert book.has_result_of(asked)
        assert not book.has_result_of(JUDGE)
        other = JUDGE.model_copy(update={"max_tokens": 9})
        assert book.as_asked(other) == other
