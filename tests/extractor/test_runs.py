"""Unread answers of a run, read by a model: rows of their own, one line a question, none twice."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.judge_server import PROMPT_TOKENS, Answer, Asked, JudgeServer, in_turn
from tests.runs import bind_again, make_task
from tests.runs import settings as run_settings
from vipbench import files
from vipbench.console import Console
from vipbench.endpoints.endpoint import Endpoint
from vipbench.endpoints.meter import Limits
from vipbench.errors import ExtractorError, ExtractorStopped, RunError
from vipbench.extractor.extracting import NothingRead
from vipbench.extractor.ledger import EXTRACTIONS, Extraction
from vipbench.extractor.runs import metric_suffix, read_reports
from vipbench.extractor.settings import EXTRACTOR, ExtractorSettings
from vipbench.report.leaderboard import leaderboard
from vipbench.run import loop, score
from vipbench.runfolder.folder import EXTRACTORS, RESPONSES, SCORES, SUMMARY
from vipbench.runfolder.lines import ResponseLine, ScoreLine
from vipbench.runfolder.summary import Row, read_summary

N = 12
TEXTS = ("B", "a cat or a dog, and I lean to the second", "hm", "<think>A?", "", "Neither A nor C")
"""Of the samples, in turn: the first is read by the rule, the fourth and fifth say nothing."""
UNREAD = (1, 2, 5)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Answer a task of choices once with `TEXTS`; tests take copies of the run."""
    own = make_task(tmp_path_factory.mktemp("own"), n=N, styles="[demo]")
    loop.run(run_settings(own))
    lines = list(files.read_lines(own / "run" / RESPONSES, ResponseLine))
    changed = []
    for line in lines:
        number = int(line.id[1:])
        text = TEXTS[number % len(TEXTS)]
        changed.append(
            line.model_copy(update={"text": f"{text} {number}" if text == "hm" else text})
        )
    files.write_lines(own / "run" / RESPONSES, changed)
    bind_again(own / "run")
    score.score(own / "run")
    return own / "run"


@pytest.fixture
def folder(answered: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(answered, tmp_path / "run"))


def chosen(url: str, **fields: Any) -> ExtractorSettings:
    endpoint = Endpoint(
        purpose=EXTRACTOR,
        url=url,
        model=fields.pop("model", "reader"),
        first_wait=0.001,
        tries=fields.pop("tries", 2),
    )
    return ExtractorSettings(endpoint=endpoint, **({"workers": 1} | fields))


def said(asked: Asked) -> dict[str, Any]:
    """Return the question as it was put."""
    line = next(line for line in asked.message.splitlines() if line.startswith('{"question"'))
    found: dict[str, Any] = json.loads(line)
    return found


def by_text(asked: Asked) -> Answer:
    answer = said(asked)["answer"]
    if answer.startswith("hm"):
        return Answer("I think it is B", model="reader")
    return Answer("**(b)**" if "dog" in answer else "none", model="reader")


def rows(folder: Path) -> dict[str, Row]:
    return {row.metric: row for row in read_summary(folder) if row.group == "all"}


def extracted(folder: Path) -> dict[str, ScoreLine]:
    lines = files.read_lines(folder / SCORES, ScoreLine)
    return {line.id: line for line in lines if "+" in line.metric}


def ledger(folder: Path) -> list[Extraction]:
    return list(files.read_lines(folder / EXTRACTIONS, Extraction))


def plain(path: Path) -> list[dict[str, Any]]:
    """Return the lines of scores, or rows, that no extractor had a part in."""
    text = path.read_text()
    found = json.loads(text) if text[0] == "[" else [json.loads(line) for line in text.splitlines()]
    return [each for each in found if "+" not in each["metric"]]


def test_only_what_is_unread_is_asked_for(folder: Path) -> None:
    before = {name: plain(folder / name) for name in (SCORES, SUMMARY)}
    notes: list[str] = []
    with JudgeServer(by_text) as server:
        score.score(folder, extractor=chosen(server.url), console=Console(notes.append))
        asked = [said(each) for each in server.asked]
        assert len(server.asked[0].body["messages"]) == 1  # type: ignore[arg-type]
        assert {each.body["temperature"] for each in server.asked} == {0.0}
    # Those without a text beside reasoning are not asked.
    unread = [i for i in range(N) if i % len(TEXTS) in UNREAD]
    texts = [each["answer"] for each in asked]
    assert sorted(texts) == sorted(f"hm {i}" if i % 6 == 2 else TEXTS[i % 6] for i in unread)
    assert all(set(each["options"]) == set("ABC") for each in asked)
    assert {name: plain(folder / name) for name in before} == before
    whole = rows(folder)
    (metric,) = [name for name in whole if "+" in name]
    assert metric.startswith("stated+reader@")
    row = whole[metric]
    assert (row.n, row.n_extractor_asked, row.n_extractor_read) == (N, 6, 2)
    assert row.n_unparsed == whole["stated"].n_unparsed - 2
    lines = extracted(folder)
    assert {lines[f"q{i}"].extracted for i in unread} == {"read", "none", "unread"}
    assert [lines[f"q{i}"].answer for i in (0, 1, 2, 3, 4, 5)] == ["B", "B", None, None, None, None]
    assert all(line.value == float(line.answer == line.target) for line in lines.values())
    (report,) = read_reports(folder)
    result = report.results[0]
    assert (result.n_unread, result.n_asked, result.n_read) == (6, 6, 2)
    assert (result.n_none, result.n_still_unread) == (2, 2)
    assert report.spent.n_calls == len(server.asked) == 6
    assert any("6 answers were unread; 2 are read, 2 state nothing, 2 replies" in n for n in notes)


def test_equal_questions_are_asked_once_and_nothing_twice(folder: Path) -> None:
    with JudgeServer(by_text) as server:
        first = chosen(server.url)
        score.score(folder, extractor=first)
        n, text = len(server.asked), (folder / SCORES).read_bytes()
        score.score(folder, extractor=first)
        score.score(folder)
        assert len(server.asked) == n
    assert (folder / SCORES).read_bytes() == text
    assert read_reports(folder)[0].spent_now.n_calls == 0
    (folder / EXTRACTORS).unlink()
    score.score(folder)
    assert extracted(folder) == {}


def test_another_extractor_has_a_column_of_its_own(folder: Path, tmp_path: Path) -> None:
    with JudgeServer(by_text) as server:
        for fields in ({}, {"model": "other"}, {"max_tokens": 9}):
            score.score(folder, extractor=chosen(server.url, **fields))
        n = len(server.asked)
    assert n == 3 * 6
    metrics = [name for name in rows(folder) if "+" in name]
    assert len(metrics) == 3
    assert len({name.partition("@")[0] for name in metrics}) == 2
    leaderboard([folder], tmp_path / "board")
    text = (tmp_path / "board" / "leaderboard.md").read_text()
    assert all(f"{metric}" in text.replace("\\", "") for metric in metrics)
    assert "read by extractor" in text
    assert "n_extractor_read" in (tmp_path / "board" / "leaderboard.csv").read_text()


def test_a_table_without_an_extractor_is_as_it_was(folder: Path, tmp_path: Path) -> None:
    leaderboard([folder], tmp_path / "board")
    for path in (tmp_path / "board").iterdir():
        assert "extract" not in path.read_text()
    assert "extract" not in (folder / SUMMARY).read_text() + (folder / SCORES).read_text()


def test_who_the_server_says_it_is_tells_columns_apart() -> None:
    with JudgeServer() as server:
        extractor = chosen(server.url).extractor
    plain_name = metric_suffix(extractor, ["reader"])
    assert metric_suffix(extractor, []) == metric_suffix(extractor, ["unnamed"]) == plain_name
    assert metric_suffix(extractor, ["reader-2026"]) != plain_name


@pytest.mark.parametrize(
    ("then", "limits"),
    [
        (Answer(status=401), Limits()),
        (Answer(status=503, headers={"Retry-After": "999"}), Limits()),
        (
            Answer("none", usage={"prompt_tokens": 3000, "completion_tokens": 1}, model="reader"),
            Limits(price=(1, 0), budget=0.01),
        ),
    ],
    ids=("no key", "away", "budget"),
)
def test_a_stop_keeps_what_was_read(folder: Path, then: Answer, limits: Limits) -> None:
    with JudgeServer(lambda a: Answer("none", model="reader") if a.number < 1 else then) as server:
        asked = chosen(server.url, limits=limits, give_up_after=2)
        with pytest.raises(ExtractorStopped, match=r"what is read is kept and scored") as stop:
            score.score(folder, extractor=asked)
        assert stop.value.exit_code == 3
        row = next(row for name, row in rows(folder).items() if "+" in name)
        paid = [line.id for line in ledger(folder) if line.reply is not None]
        assert row.n_extractor_asked == len(paid) < 6
        assert row.n_ungraded == 6 - len(paid)
        assert row.n + row.n_ungraded == N
        server.answer = by_text
        before = len(server.asked)
        score.score(folder, extractor=chosen(server.url))
        assert len(server.asked) == before + 6 - len(paid)
    assert next(row for name, row in rows(folder).items() if "+" in name).n_ungraded == 0


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (Answer(status=401), ExtractorError, "HTTP 401"),
        (Answer(status=404), ExtractorError, "check --extractor-url and --extractor-model"),
        (Answer("The answer is B."), NothingRead, "none of the first 5 replies could be read"),
    ],
)
def test_where_nothing_is_read_the_code_is_2(
    folder: Path, answer: Answer, error: type[ExtractorError], words: str
) -> None:
    with JudgeServer(in_turn(answer)) as server:
        with pytest.raises(error, match=words) as stop:
            score.score(folder, extractor=chosen(server.url))
        assert len(server.asked) in (1, 5)
    assert stop.value.exit_code == 2


def test_limits_are_held_before_anything_is_asked(folder: Path) -> None:
    with JudgeServer() as server:
        for limits, words in (
            (Limits(max_calls=5), r"--extractor-max-calls 5: 6 calls, .* nothing was asked"),
            (Limits(price=(9, 9), budget=0), r"--extractor-budget 0: an estimated 6 calls"),
        ):
            with pytest.raises(ExtractorError, match=words):
                score.score(folder, extractor=chosen(server.url, limits=limits))
        assert server.asked == []


def test_a_run_without_such_answers_is_refused(tmp_path: Path) -> None:
    own = make_task(tmp_path / "own", n=2, kind="graded", styles="[demo]")
    loop.run(run_settings(own))
    with JudgeServer() as server:
        with pytest.raises(ExtractorError, match="no task of this run is of kind choice"):
            score.score(own / "run", extractor=chosen(server.url))
        assert server.asked == []


def test_a_lost_ledger_and_a_changed_answer_are_told(folder: Path) -> None:
    with JudgeServer(by_text) as server:
        score.score(folder, extractor=chosen(server.url))
    kept = (folder / EXTRACTIONS).rename(folder / "elsewhere")
    with pytest.raises(RunError, match="put it back"):
        score.score(folder)
    kept.rename(folder / EXTRACTIONS)
    path = folder / EXTRACTORS
    path.write_text(path.read_text().replace('"n_read": 2', '"n_read": 3'))
    with pytest.raises(RunError, match=r"extractors.json: is not what the run has written"):
        score.score(folder)


def test_short_answers_are_read_word_by_word(tmp_path: Path) -> None:
    own = make_task(tmp_path / "own", n=3, kind="short_answer", styles="[demo]")
    text = (own / "own.yaml").read_text()
    (own / "own.yaml").write_text(f"{text}rule: stated\n")
    loop.run(run_settings(own))
    lines = list(files.read_lines(own / "run" / RESPONSES, ResponseLine))
    texts = ("either two or 3, no, 3", "2 or 3", "more than 1")
    changed = [line.model_copy(update={"text": t}) for line, t in zip(lines, texts, strict=True)]
    files.write_lines(own / "run" / RESPONSES, changed)
    bind_again(own / "run")
    replies = {texts[0]: "3", texts[1]: "5", texts[2]: "None."}
    with JudgeServer(lambda a: Answer(replies[said(a)["answer"]])) as server:
        score.score(own / "run", extractor=chosen(server.url))
        assert all("options" not in said(asked) for asked in server.asked)
    found = [extracted(own / "run")[line.id] for line in lines]
    assert [line.extracted for line in found] == ["read", "unread", "none"]
    assert [line.answer for line in found] == ["3", None, None]
    assert found[0].value == float(found[0].target == "3")


def test_a_kill_loses_what_is_under_way_and_nothing_else(folder: Path) -> None:
    process: list[subprocess.Popen[bytes]] = []

    def answer(asked: Asked) -> Answer:
        if asked.number == 3:
            os.kill(process[0].pid, signal.SIGKILL)
            process[0].wait(30)
        return by_text(asked)

    with JudgeServer(answer) as server:
        program = "from vipbench.cli import main; main()"
        options = ("--extractor-url", server.url, "--extractor-model", "reader")
        command = [sys.executable, "-c", program, "score", str(folder), *options]
        process.append(subprocess.Popen([*command, "--extractor-workers", "1"]))
        assert process[0].wait(60) == -signal.SIGKILL
        assert len(ledger(folder)) == 3
        with (folder / EXTRACTIONS).open("a") as file:
            file.write('{"key": "torn')
        resumed = chosen(server.url)
        score.score(folder, extractor=resumed)
        assert len(server.asked) == 4 + 3
    lines = ledger(folder)
    assert len({line.key for line in lines}) == len(lines) == 6
    (report,) = read_reports(folder)
    assert (report.spent.n_calls, report.spent_now.n_calls) == (6, 3)
    assert report.spent.n_prompt_tokens == 6 * PROMPT_TOKENS
