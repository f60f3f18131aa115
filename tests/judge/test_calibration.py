import json
import statistics
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.judge.test_runs import chosen
from tests.judge_server import Answer, Asked, JudgeServer, in_turn
from tests.runs import make_task
from tests.runs import settings as run_settings
from vipbench import files
from vipbench.console import Console
from vipbench.errors import JudgeStopped, RunError
from vipbench.judge import calibration
from vipbench.judge.calibration import Calibration
from vipbench.judge.known import KnownGrades
from vipbench.run import loop, score
from vipbench.runfolder.folder import REQUESTS

N = 24
KNOWN = KnownGrades(
    judges={"gpt-4-0613": N}, grades={f"q{number}": (number % 5) / 5 for number in range(N)}
)
FILE = Path("known.json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run of a graded task."""
    own = tmp_path_factory.mktemp("own")
    make_task(own, n=N, kind="graded", styles="[demo]")
    loop.run(run_settings(own))
    return own / "run"


def known_of(folder: Path) -> tuple[KnownGrades, dict[str, float]]:
    """Return a grade of each sample that depends on its question only, and those of the texts."""
    trials = [json.loads(line) for line in (folder / REQUESTS).read_text().splitlines()]
    texts = {trial["id"]: trial["request"]["turns"][-1] for trial in trials}
    by_text = {text: n % 5 / 5 for n, text in enumerate(dict.fromkeys(texts.values()))}
    grades = {name: by_text[text] for name, text in texts.items()}
    return KnownGrades(judges={"gpt-4-0613": N}, grades=grades), by_text


def grader(folder: Path, offset: float) -> Callable[[Asked], Answer]:
    _, by_text = known_of(folder)

    def answer(asked: Asked) -> Answer:
        line = next(line for line in asked.message.split("\n") if line.startswith("{"))
        return Answer(f"{by_text[json.loads(line)['question']] + offset:.1f}")

    return answer


def calibrated(
    folder: Path, server: JudgeServer, path: Path, known: KnownGrades = KNOWN
) -> Calibration:
    return calibration.calibrate(folder, known, FILE, chosen(server.url, n_runs=1, ledger=path))


def test_bias_scatter_and_agreement(folder: Path, tmp_path: Path) -> None:
    with JudgeServer(grader(folder, 0.1)) as server:
        known, _ = known_of(folder)
        found = calibrated(folder, server, tmp_path / "g.jsonl", known)
        n = len(server.asked)
        again = calibrated(folder, server, tmp_path / "g.jsonl", known)
        assert len(server.asked) == n <= N  # nothing is paid twice
    assert again.rows == found.rows
    whole = found.rows[0]
    assert (whole.group, whole.n) == ("all", N)
    assert whole.known == pytest.approx(100 * statistics.fmean(known.grades.values()))
    assert whole.bias == pytest.approx(10)
    assert whole.bias_low < 10 < whole.bias_high
    assert whole.scatter == pytest.approx(0, abs=1e-6)
    assert whole.equal == 0
    assert whole.correlation == pytest.approx(1)
    assert (found.n_known, found.n_ungraded, found.n_without_answer) == (N, 0, 0)


def test_scatter_has_an_interval(folder: Path, tmp_path: Path) -> None:
    with JudgeServer(in_turn(Answer("0.4"))) as server:
        whole = calibrated(folder, server, tmp_path / "g.jsonl").rows[0]
    off = [0.4 - grade for grade in KNOWN.grades.values()]
    assert whole.scatter == pytest.approx(100 * statistics.pstdev(off))
    assert whole.scatter is not None
    assert whole.scatter_low is not None
    assert whole.scatter_high is not None
    assert whole.scatter_low < whole.scatter < whole.scatter_high
    assert whole.equal == pytest.approx(sum(abs(each) < 0.05 for each in off) / N)
    assert whole.correlation is None


def test_samples_that_one_of_both_lacks_are_counted(folder: Path, tmp_path: Path) -> None:
    grades = {"q0": 0.2, "q1": 0.4, "q2": 0.0, "q99": 0.5}
    with JudgeServer(lambda a: Answer("0.4" if a.number != 1 else "Well")) as server:
        known = KnownGrades(grades=grades, n_unread=3)
        found = calibrated(folder, server, tmp_path / "g.jsonl", known)
    assert (found.rows[0].n, found.n_without_answer, found.n_known_unread) == (3, 1, 3)
    said = " ".join(calibration.notes(found))
    assert "3 known grades are left out" in said
    assert "1 samples with a known grade have no answer here" in said
    assert not found.rows[0].reliable


def test_totals_alone(folder: Path, tmp_path: Path) -> None:
    with JudgeServer(in_turn(Answer("0.4"))) as server:
        known = KnownGrades(totals={"total": 45.0, "rec": 50.0})
        found = calibrated(folder, server, tmp_path / "g.jsonl", known)
    (whole,) = found.rows
    assert (whole.known, whole.new, whole.bias) == pytest.approx((45, 40, -5))
    assert (whole.scatter, whole.equal) == (None, None)
    assert "only totals are known" in " ".join(calibration.notes(found))


def test_the_files_and_the_table(folder: Path, tmp_path: Path) -> None:
    with JudgeServer(grader(folder, 0.1)) as server:
        found = calibrated(folder, server, tmp_path / "g.jsonl")
    paths = calibration.write(found, tmp_path / "out")
    assert [path.name for path in paths] == ["calibration.json", "calibration.md"]
    assert Calibration.model_validate(files.read_json(paths[0])) == found
    assert "# gpt-4-0613 beside gpt-4-0613" in paths[1].read_text()
    assert calibration.table(found).rows[0][:2] == ("all", f"{N}")


def test_a_stop_keeps_what_is_graded(folder: Path, tmp_path: Path) -> None:
    with JudgeServer(lambda a: Answer("0.4") if a.number < 3 else Answer(status=401)) as server:
        settings = chosen(server.url, n_runs=1, workers=1, ledger=tmp_path / "g.jsonl")
        with pytest.raises(
            JudgeStopped, match=r"HTTP 401.*what is graded is kept · the same command"
        ):
            calibration.calibrate(folder, KNOWN, FILE, settings)
        server.answer = in_turn(Answer("0.4"))
        n = len(server.asked)
        said: list[str] = []
        calibration.calibrate(folder, KNOWN, FILE, settings, console=Console(said.append))
        assert len(server.asked) <= n + N - 3


def test_the_ledger_of_the_run_is_shared_with_score(folder: Path) -> None:
    with JudgeServer(in_turn(Answer("0.4"))) as server:
        settings = chosen(server.url, n_runs=1)
        calibration.calibrate(folder, KNOWN, FILE, settings)
        n = len(server.asked)
        score.score(folder, judge=settings)
        assert len(server.asked) == n


def test_another_task_is_refused(folder: Path, tmp_path: Path) -> None:
    with JudgeServer() as server:
        settings = chosen(server.url, ledger=tmp_path / "g.jsonl")
        with pytest.raises(RunError, match="has no answer to a graded task 'other'"):
            calibration.calibrate(folder, KNOWN, FILE, settings, task="other")
        assert server.asked == []
