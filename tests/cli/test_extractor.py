import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.extractor.test_runs import TEXTS, UNREAD, N, by_text
from tests.judge_server import Answer, JudgeServer, in_turn
from tests.runs import bind_again, make_task
from tests.runs import settings as run_settings
from vipbench import files
from vipbench.run import loop, score
from vipbench.runfolder.folder import RESPONSES
from vipbench.runfolder.lines import ResponseLine

KEY = "sk-proj-0123456789abcdef"
N_UNREAD = len(UNREAD) * N // len(TEXTS)


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the keys of whoever runs the tests."""
    monkeypatch.delenv("VIPBENCH_EXTRACTOR_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture(scope="module")
def answered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    own = make_task(tmp_path_factory.mktemp("own"), n=N, styles="[demo]")
    loop.run(run_settings(own))
    lines = files.read_lines(own / "run" / RESPONSES, ResponseLine)
    changed = [
        line.model_copy(update={"text": TEXTS[int(line.id[1:]) % len(TEXTS)]}) for line in lines
    ]
    files.write_lines(own / "run" / RESPONSES, changed)
    score.score(bind_again(own / "run"))
    return own / "run"


@pytest.fixture
def run(vipbench: Vipbench, answered: Path) -> Path:
    return Path(shutil.copytree(answered, "done"))


def reader(server: JudgeServer) -> tuple[str, ...]:
    return "--extractor-url", server.url, "--extractor-model", "reader", "--extractor-workers", "1"


def test_unread_answers_are_read(vipbench: Vipbench, run: Path) -> None:
    with JudgeServer(by_text) as server:
        done = vipbench("score", run, *reader(server))
        n = len(server.asked)
        again = vipbench("score", run, *reader(server))
        assert len(server.asked) == n == N_UNREAD
    assert (done.code, again.code) == (0, 0)
    assert "extractor: no key is sent" in done.err
    assert f"extractor reader at {server.url}: about {n} calls" in done.err
    assert f"{n} answers were unread; 2 are read" in done.err
    assert "stated+reader@" in done.out.replace("\n", "")
    assert vipbench("score", run).code == 0


def test_a_dry_run_says_what_it_takes_and_asks_nobody(vipbench: Vipbench, run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    price = ("--extractor-price", "1000,0", "--extractor-reasoning-tokens", "0")
    with JudgeServer(by_text) as server:
        dry = vipbench("score", run, *reader(server), *price, "--dry-run")
        assert dry.code == 0
        assert f"extractor reader at {server.url}: about {N_UNREAD} calls, " in dry.out
        assert "reply tokens, $" in dry.out
        over = vipbench("score", run, *reader(server), "--extractor-max-calls", 1, "--dry-run")
        assert over.code == 2
        assert "--extractor-max-calls 1: " in over.err
        assert server.asked == []
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
        vipbench("score", run, *reader(server))
        again = vipbench("score", run, *reader(server), "--dry-run")
    assert again.out == "extractor reader: nothing is left to ask\n"
    nobody = vipbench("score", run, "--dry-run")
    assert nobody.code == 2
    assert "--dry-run: nobody would be asked · add --judge-url or --extractor-url" in nobody.err


def test_the_exit_code_says_whether_anything_was_read(vipbench: Vipbench, run: Path) -> None:
    with JudgeServer(lambda a: by_text(a) if a.number < 2 else Answer(status=401)) as server:
        stopped = vipbench("score", run, *reader(server))
        assert stopped.code == 3
        assert stopped.err.splitlines()[-1].startswith("error: extractor: HTTP 401")
        assert "the same command asks for the rest" in stopped.err
        assert vipbench("score", run, *reader(server)).code == 2  # nothing more was read
        server.answer = by_text
        n = len(server.asked)
        assert vipbench("score", run, *reader(server)).code == 0
        assert len(server.asked) == n + N_UNREAD - 2


def test_replies_that_are_none_end_with_what_to_do(vipbench: Vipbench, run: Path) -> None:
    with JudgeServer(in_turn(Answer("It is B, I think"))) as server:
        done = vipbench("score", run, *reader(server))
    assert done.code == 2
    assert "replies could be read · the last one: 'It is B, I think'" in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--extractor-model", "m"), "--extractor-model: needs an extractor · add --extractor-url"),
        (("--extractor-url", "http://localhost"), "says where, not who reads"),
        (("--extractor-url", f"https://me:{KEY}@a.org/v1"), "holds more than an address"),
        (("--extractor-price", "1"), "--extractor-price '1': expected two numbers"),
        (("--extractor-extra-body", '{"model": "n"}'), "--extractor-extra-body: sets model"),
    ],
)
def test_options_that_are_wrong(
    vipbench: Vipbench, run: Path, options: tuple[str, ...], words: str
) -> None:
    done = vipbench("score", run, *options)
    assert done.code == 2
    assert words in done.err
    assert KEY not in done.err


def test_the_key_is_nowhere(vipbench: Vipbench, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIPBENCH_EXTRACTOR_KEY", KEY)
    with JudgeServer(in_turn(Answer(KEY, model=KEY))) as server:
        done = vipbench("score", run, *reader(server))
    assert server.asked[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in done.out + done.err
    assert all(KEY not in path.read_text() for path in run.iterdir())


def test_other_commands_never_mix_it_with_the_rule(vipbench: Vipbench, run: Path) -> None:
    base = Path(shutil.copytree(run, "base"))
    commands = (("gate", base, run), ("compare", base, run), ("sweep", run))
    plain = [vipbench(*command).out for command in commands]
    with JudgeServer(by_text) as server:
        vipbench("score", run, *reader(server))
        assert [vipbench(*command).out for command in commands] == plain
        assert all(plain)
        vipbench("score", base, *reader(server))
    rows = json.loads((run / "summary.json").read_text())
    metric = next(row["metric"] for row in rows if "+" in row["metric"])
    compared = vipbench("compare", base, run, "--metric", metric)
    assert compared.code == 0
    assert "stated+reader" in compared.out.replace("\n", "")
    assert vipbench("compare", base, run, "--metric", metric[:-1]).code == 2
    shown = vipbench("show", run, "q1", "-o", "q1.png")
    assert f"({metric}; parsed as 'B')" in shown.out
    assert vipbench("report", run, "-o", "page").code == 0
    assert metric in Path("page/report.html").read_text()
