from pathlib import Path

import pytest

from vipbench.endpoints.ledger import spent
from vipbench.endpoints.meter import Limits
from vipbench.judge import ledger
from vipbench.judge.ledger import Grade
from vipbench.runfolder.judge_file import Judge

WHO = Judge(model="m", prompt_digest="ab" * 32)


def line(run: int = 1, score: float | None = 0.5, n_calls: int = 1) -> Grade:
    return Grade(
        key="k",
        run=run,
        score=score,
        replies=("0.5",) if score is not None else (),
        finish="stop",
        judge=WHO,
        task="t",
        style="s",
        id="1",
        n_calls=n_calls,
        n_prompt_tokens=10 * n_calls,
        n_completion_tokens=n_calls,
        n_estimated=0,
    )


def test_the_first_complete_line_of_a_slot_counts(tmp_path: Path) -> None:
    with ledger.opened(tmp_path / "l.jsonl") as book:
        for score in (None, 0.25, 0.75):
            book.add(line(score=score))
        found = book.at(("k", 1))
        assert found is not None
        assert found.score == 0.25
        assert book.at(("k", 2)) is None
        assert len(book.lines({"k"})) == 3
        assert book.has_result_of(WHO)
        assert not book.has_result_of(WHO.model_copy(update={"model": "other"}))


def test_what_lines_took_is_added_up() -> None:
    lines = [line(1, None, 2), line(1, 0.5, 1), line(2, None, 0)]
    total = spent(lines, Limits(price=(1e6, 2e6)))
    assert (total.n_calls, total.n_retries) == (3, 2)
    assert total.dollars == pytest.approx(30 + 2 * 3)
    assert spent([], Limits()).dollars is None
