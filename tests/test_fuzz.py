"""The quickest cases of tests/fuzz.py, and that it sees what it looks for."""

import json
import shutil
from pathlib import Path

import pytest

from tests.fuzz import (
    FINDINGS,
    Case,
    Outcome,
    counted,
    ended,
    judge,
    kind_of,
    make_case,
    numbers_of,
    words_of,
)
from tests.fuzzing.calls import Ran, call
from tests.fuzzing.kinds import KINDS

N_CASES = 200
SEED = 0
QUICK = [kind for kind in KINDS if KINDS[kind].is_quick]
ORACLE = ("run", "--runner", "oracle")


def files(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder; where one was replaced by something else, what it is."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b"no file"
        for path in sorted(folder.rglob("*"))
    }


def test_the_quick_cases_find_nothing(tmp_path: Path) -> None:
    number, n, found = -1, 0, {}
    while n < N_CASES:
        number += 1
        if kind_of(SEED, number) not in QUICK:
            continue
        n += 1
        folder = tmp_path / "case"
        case = make_case(SEED, number, folder, tmp_path / "bases")
        outcome = judge(case, folder, tmp_path / "bases")
        if outcome.name in FINDINGS:
            found[f"python tests/fuzz.py --replay {SEED}:{number}"] = (*outcome, *case.changes)
        shutil.rmtree(folder)
    assert found == {}


def test_a_case_is_known_by_its_number(tmp_path: Path) -> None:
    for number in range(12):
        made = [
            make_case(SEED, number, tmp_path / f"{n}{number}", tmp_path / f"bases {n}")
            for n in "ab"
        ]
        assert made[0] == made[1]
        if made[0].kind != "run":  # holds times
            assert files(tmp_path / f"a{number}") == files(tmp_path / f"b{number}")
    own = [number for number in range(300) if kind_of(SEED, number) == "jsonl"]
    assert numbers_of(SEED, 5, "jsonl") == own[:5]


@pytest.mark.parametrize("name", QUICK)
def test_files_that_are_right_are_accepted(name: str, tmp_path: Path) -> None:
    KINDS[name].make(tmp_path)
    case = make_case(SEED, numbers_of(SEED, 1, name)[0], tmp_path / "case", tmp_path / "bases")
    unchanged = Case(name, (), case.commands)
    assert judge(unchanged, tmp_path, tmp_path / "bases").name.startswith("accepted")


TRACE = """Traceback (most recent call last):
  File "/x/vipbench/files.py", line 7, in read
    open(path)
ValueError: 12 is odd
"""


@pytest.mark.parametrize(
    ("ran", "outcome"),
    [
        (
            Ran(None, "", "", TRACE),
            ("traceback", "run: vipbench/files.py:read: ValueError: N is odd"),
        ),
        (Ran(1, "", "error: no"), ("exit code", "run: 1")),
        (Ran(2, "", ""), ("exit code", "run: 2 without a message")),
        (Ran(0, "\x1b[31m", ""), ("raw letters", "run: '\\x1b'")),
        (Ran(0, "", "a.py:3: UserWarning: 3 of 4"), ("python warning", "run: UserWarning: N of N")),
        (Ran(2, "", "error: no"), None),
        (Ran(0, "fine", ""), None),
    ],
)
def test_how_a_command_may_not_end(ran: Ran, outcome: tuple[str, str] | None) -> None:
    assert ended(ORACLE, ran) == outcome


@pytest.mark.parametrize(
    ("changes", "fields", "outcome"),
    [
        ((), {}, None),
        ((), {"n": 3}, Outcome("uncounted", "n + errors + ungraded is not n_expected")),
        ((), {"n": 3, "n_expected": 3}, Outcome("uncounted", "fewer than the file holds")),
        ((), {"n": 5, "n_expected": 5}, Outcome("uncounted", "more than the file holds")),
        ((), {"n": 3, "n_errors": 1}, None),
        ((), {"accuracy": 0.75}, Outcome("wrong", "the oracle is not right")),
        (("q: unit: fractions",), {}, Outcome("silent", "boxes in fractions are taken for px")),
    ],
)
def test_numbers_that_do_not_add_up(
    tmp_path: Path, changes: tuple[str, ...], fields: dict[str, float], outcome: Outcome | None
) -> None:
    KINDS["jsonl"].make(tmp_path)
    row = {"group": "all", "n": 4, "n_errors": 0, "n_ungraded": 0, "n_expected": 4, "accuracy": 1.0}
    (tmp_path / "out").mkdir()
    (tmp_path / "out/summary.json").write_text(json.dumps([row | fields]))
    case = Case("jsonl", changes, [ORACLE])
    assert counted(case, ORACLE, Ran(0, "", ""), tmp_path, tmp_path) == outcome


def test_bars_are_no_words() -> None:
    bars = "\rown: reading: 0 samples [00:00, ? samples/s]\r     \ranswering: 100%|###| 4/4"
    assert words_of(Ran(0, "", bars)) == []
    lines = "answering: 4 of 4 samples (100 %), 0 s\nown: reading: 9 samples, 3 samples/s, 3 s"
    assert words_of(Ran(0, "", lines)) == []
    assert words_of(Ran(0, "", f"{bars}\nown: 2 of 4 samples\n")) == ["own: 2 of 4 samples"]


def test_a_call_in_this_process_is_one_of_the_command_line(tmp_path: Path) -> None:
    assert call(["--version"], tmp_path).out.startswith("vipbench ")
    ran = call(["score", "nowhere"], tmp_path)
    assert (ran.code, ran.trace) == (2, "")
    assert ran.err.startswith("error: nowhere")
