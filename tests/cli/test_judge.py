import json
import logging
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.judge.test_rubric import EVALUATOR, FEW_SHOT, evaluator
from tests.judge_server import Answer, Asked, JudgeServer, in_turn
from tests.runs import make_task
from vipbench import evaluate

KEY = "sk-proj-0123456789abcdef"
DEAR = Answer("0.5", usage={"prompt_tokens": 3000, "completion_tokens": 1})
"""What costs far more than was estimated."""


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the keys of whoever runs the tests."""
    monkeypatch.delenv("VIPBENCH_JUDGE_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ask a graded task once; tests take copies of its folder."""
    folder = tmp_path_factory.mktemp("graded")
    make_task(folder, kind="graded", n=5, styles="[demo]")
    evaluate(tasks="own", runner="majority", include=(folder,), out=folder / "done")
    return folder


@pytest.fixture
def run(vipbench: Vipbench, answered: Path) -> tuple[str, ...]:
    """Return a command that asks a graded task; it was given before, in the current folder."""
    shutil.copytree(answered, ".", dirs_exist_ok=True)
    return ("run", "--tasks", "own", "--runner", "majority", "--include", ".", "-o", "done")


def judge(server: JudgeServer) -> tuple[str, ...]:
    return "--judge-url", server.url, "--judge-model", "m"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_is_judged_later(vipbench: Vipbench, run: tuple[str, ...]) -> None:
    with JudgeServer(in_turn(Answer("0.7"))) as server:
        dry = vipbench("score", "done", *judge(server), "--judge-runs", 2, "--dry-run")
        assert server.asked == []
        done = vipbench("score", "done", *judge(server), "--judge-runs", 2)
        n = len(server.asked)
        assert f"judge m at {server.url}: about {n} calls, " in dry.out
        again = vipbench("score", "done", *judge(server), "--judge-runs", 2)
        assert len(server.asked) == n
    assert (done.code, again.code) == (0, 0)
    assert 2 <= n <= 10
    assert "judge: no key is sent" in done.err
    assert f"judge m at {server.url}: about {n} calls" in done.err
    assert "not comparable with published numbers: the prompt is vipbench's own rubric" in done.err
    assert "(judge)" in done.out
    rows = json.loads(Path("done/summary.json").read_text())
    (whole,) = [row for row in rows if (row["metric"], row["group"]) == ("judge", "all")]
    assert whole["accuracy"] == pytest.approx(0.7)
    assert "judge: own under demo: 70.0 points, standard deviation 0.00 over 2 runs" in done.err
    plain = vipbench("score", "done")
    assert plain.code == 0
    assert plain.out == done.out


def test_show_says_why_there_is_no_grade(vipbench: Vipbench, run: tuple[str, ...]) -> None:
    with JudgeServer(in_turn(Answer("hm"))) as server:
        done = vipbench("score", "done", *judge(server), "--judge-runs", 1)
    assert done.code == 2
    last = done.err.splitlines()[-1]
    assert last.startswith(
        "error: judge: none of the first 5 questions got a grade · the last reply: 'hm'"
    )
    assert "the same command" not in last
    assert "5 of 5 samples are ungraded (5 no score)" in done.err
    shown = vipbench("show", "done", "q1", "-o", "q1.png")
    assert "none (judge; no score: 5 replies, the last 'hm')" in shown.out


def test_who_grades_is_asked_for(vipbench: Vipbench, run: tuple[str, ...]) -> None:
    with JudgeServer() as server:
        done = vipbench("score", "done", "--judge-url", server.url)
        assert server.asked == []
    assert done.code == 2
    assert "gpt-4-0613, the judge of the published numbers, was shut down on 2026-10-23" in done.err
    assert "add --judge-model NAME, such as Qwen/Qwen2.5-72B-Instruct (open; revision" in done.err
    assert vipbench("score", "done", "--judge-url", server.url, "--judge-model", "").code == 2


def test_what_a_judge_is_asked_with(vipbench: Vipbench, run: tuple[str, ...]) -> None:
    extra = '{"chat_template_kwargs": {"enable_thinking": false}}'
    with JudgeServer() as server:
        options = ["--judge-max-tokens", 9, "--judge-reasoning-tokens", 0, "--judge-runs", 1]
        done = vipbench("score", "done", *judge(server), *options, "--judge-extra-body", extra)
        assert done.code == 0
        assert {asked.body["max_tokens"] for asked in server.asked} == {9}
        assert server.asked[0].body["chat_template_kwargs"] == {"enable_thinking": False}
        n = len(server.asked)
        assert vipbench("score", "done", *judge(server), "--judge-runs", 1).code == 0
        assert len(server.asked) == 2 * n  # another judge
        assert server.asked[-1].body["max_tokens"] == 64 + 4096
        wrong = vipbench("score", "done", *judge(server), "--judge-extra-body", '{"model": "n"}')
    assert wrong.code == 2
    assert "--judge-extra-body: sets model" in wrong.err


def test_both_totals_where_replies_are_no_grades(vipbench: Vipbench, run: tuple[str, ...]) -> None:
    prose: set[str] = set()

    def answer(asked: Asked) -> Answer:
        line = asked.message.split("\n{")[1].split("}")[0]
        if len(prose) < 2 and asked.number:
            prose.add(line)
        return Answer("I would say 0.3" if line in prose else "0.6")

    with JudgeServer(answer) as server:
        done = vipbench("score", "done", *judge(server), "--judge-runs", 1, "--judge-workers", 1)
    assert done.code == 0
    rows = {
        row["metric"]: row
        for row in json.loads(Path("done/summary.json").read_text())
        if row["group"] == "all"
    }
    n = rows["judge"]["n"]
    assert rows["judge"]["n_ungraded"] == len(prose) == 5 - n
    assert rows["judge"]["accuracy"] == pytest.approx(0.6)
    assert (rows["judge_zeros"]["n"], rows["judge_zeros"]["n_ungraded"]) == (5, 0)
    assert rows["judge_zeros"]["accuracy"] == pytest.approx(0.6 * n / 5)
    assert "(judge_zeros)" in done.out
    written = json.loads(Path("done/judge.json").read_text())
    assert written["results"][0]["mean_with_zeros"] == pytest.approx(60 * n / 5)
    said = (
        f"{len(prose)} of 5 samples no reply is a grade; they are left out here (60.0 points) and "
        "are 0"
    )
    assert said in " ".join(written["not_comparable"])
    assert said in done.err


def test_a_run_is_judged_at_its_end(vipbench: Vipbench, run: tuple[str, ...]) -> None:
    with JudgeServer(in_turn(Answer("0.7"))) as server:
        done = vipbench(*run, *judge(server))
        fresh = vipbench(*run, *judge(server), "--fresh")
    assert (done.code, fresh.code) == (0, 0)
    assert done.out == fresh.out
    assert "(judge)" in done.out
    assert server.asked[0].body["model"] == "m"


def test_the_prompt_of_the_official_evaluator(
    vipbench: Vipbench, run: tuple[str, ...], tmp_path: Path
) -> None:
    path = evaluator(tmp_path, EVALUATOR)
    with JudgeServer() as server:
        done = vipbench("score", "done", *judge(server), "--judge-prompt-from", path)
    assert done.code == 0
    assert all(asked.message.startswith(FEW_SHOT + "\n") for asked in server.asked)
    written = json.loads(Path("done/judge.json").read_text())
    assert written["prompt_source"] == str(path)
    assert written["not_comparable"][0].startswith(f"the prompt of {path} is not the published")
    assert written["models_returned"] == {"gpt-4-0613": len(server.asked)}


@pytest.mark.parametrize("place", ["VIPBENCH_JUDGE_KEY", "--judge-key-env", "file"])
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_the_key_is_in_no_file_and_no_output(
    vipbench: Vipbench,
    run: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
    status: int,
) -> None:
    def echo(asked: Asked) -> Answer:
        said = asked.headers["authorization"]
        body = None if status == 200 else {"error": {"message": said}}
        return Answer(said, status=status, body=body, model=said, headers={"Retry-After": "999"})

    caplog.set_level(logging.DEBUG)
    options = []
    if place == "file":
        secret = Path("..", Path.cwd().name + "-key")
        secret.write_text(KEY)
        options = ["--judge-key-file", str(secret)]
    elif place == "--judge-key-env":
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        options = [place, "OPENAI_API_KEY"]
    else:
        monkeypatch.setenv(place, KEY)
    with JudgeServer(echo) as server:
        done = vipbench("score", "done", *judge(server), "--judge-runs", 1, *options)
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert done.code == 2  # nothing is graded
    assert "[key]" in done.out + done.err + str(files(Path()))
    assert KEY not in done.out + done.err
    assert KEY not in caplog.text
    assert all(KEY.encode() not in content for content in files(Path()).values())
    source = {"VIPBENCH_JUDGE_KEY": place, "--judge-key-env": "OPENAI_API_KEY"}.get(place, "")
    assert f"judge: key from {source}" in done.err


def test_the_key_of_a_provider_is_not_sent_to_others(
    vipbench: Vipbench, run: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with JudgeServer() as server:
        done = vipbench("score", "done", *judge(server), "--judge-runs", 1)
    assert done.code == 0
    assert all("authorization" not in asked.headers for asked in server.asked)
    assert "judge: no key is sent: OPENAI_API_KEY goes to api.openai.com only" in done.err


def test_a_wrong_key_ends_with_one_line(vipbench: Vipbench, run: tuple[str, ...]) -> None:
    with JudgeServer(in_turn(Answer(status=401, body={"error": "who?"}))) as server:
        done = vipbench("score", "done", *judge(server))
    assert done.code == 2
    assert len(server.asked) == 1
    last = done.err.splitlines()[-1]
    assert last.startswith("error: judge: HTTP 401: who? · check the key (VIPBENCH_JUDGE_KEY")
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("n_graded", "then", "options"),
    [
        (2, Answer(status=401), ()),
        (2, Answer(status=500, headers={"Retry-After": "999"}), ()),
        (0, DEAR, ("--judge-budget", "0.01", "--judge-price", "1,0")),
    ],
    ids=("no key", "away", "budget"),
)
def test_a_stop_after_grades_has_a_code_of_its_own(
    vipbench: Vipbench,
    run: tuple[str, ...],
    n_graded: int,
    then: Answer,
    options: tuple[str, ...],
) -> None:
    with JudgeServer(lambda a: Answer("0.5") if a.number < n_graded else then) as server:
        base = ("score", "done", *judge(server), "--judge-runs", 2, "--judge-workers", 1)
        stopped = vipbench(*base, *options)
        assert stopped.code == 3, stopped.err
        assert "what is graded is kept and scored" in stopped.err
        server.answer = in_turn(Answer("0.5"))
        n = len(server.asked)
        assert vipbench(*base).code == 0
        assert len(server.asked) > n
        assert vipbench(*base).code == 0


def test_a_stop_before_any_grade_is_the_users(vipbench: Vipbench, run: tuple[str, ...]) -> None:
    with JudgeServer(lambda a: Answer("hm") if a.number < 5 else Answer(status=401)) as server:
        done = vipbench("score", "done", *judge(server), "--judge-workers", 1)
    assert done.code == 2
    assert "HTTP 401" in done.err


def test_a_budget_is_kept(vipbench: Vipbench, run: tuple[str, ...]) -> None:
    with JudgeServer() as server:
        base = ("score", "done", *judge(server))
        for options, words in (
            (("--judge-max-calls", 0), "--judge-max-calls 0: "),
            (("--judge-budget", 0, "--judge-price", "30,60"), "--judge-budget 0: an estimated"),
            (("--judge-budget", 5), "give --judge-price IN,OUT too"),
        ):
            done = vipbench(*base, *options)
            assert done.code == 2
            assert words in done.err
        assert server.asked == []
        done = vipbench(*base, "--judge-budget", 5, "--judge-price", "30,60")
    assert done.code == 0
    written = json.loads(Path("done/judge.json").read_text())
    n = len(server.asked)
    assert written["spent_now"] == {
        "n_calls": n,
        "n_retries": 0,
        "n_prompt_tokens": 100 * n,
        "n_completion_tokens": 2 * n,
        "n_estimated": 0,
        "dollars": pytest.approx((100 * n * 30 + 2 * n * 60) / 1e6),
    }


def test_judge_options_need_a_judge(vipbench: Vipbench, run: tuple[str, ...]) -> None:
    done = vipbench("score", "done", "--judge-model", "m", "--judge-runs", 1)
    assert done.code == 2
    assert "--judge-model, --judge-runs: needs a judge · add --judge-url" in done.err
    done = vipbench(*run, "--judge-ledger", "g.jsonl")
    assert done.code == 2
    done = vipbench(*run, "--judge-url", "http://localhost", "--judge-model", "m", "--seeds", 2)
    assert (done.code, "for each of the runs" in done.err) == (2, True)


def test_an_address_with_a_password_is_not_repeated(
    vipbench: Vipbench, run: tuple[str, ...]
) -> None:
    done = vipbench("score", "done", "--judge-url", f"https://me:{KEY}@judge.org/v1")
    assert done.code == 2
    assert "holds more than an address" in done.err
    assert KEY not in done.err


def test_a_shared_ledger(vipbench: Vipbench, run: tuple[str, ...]) -> None:
    with JudgeServer() as server:
        options = (*judge(server), "--judge-ledger", "all/grades.jsonl")
        assert vipbench("score", "done", *options).code == 0
        n = len(server.asked)
        assert vipbench(*run[:-1], "second", *options).code == 0
        assert len(server.asked) == n
    Path("all").rename("moved")
    assert vipbench("score", "done").code == 2
    assert vipbench("score", "done", "--judge-ledger", "moved/grades.jsonl").code == 0
