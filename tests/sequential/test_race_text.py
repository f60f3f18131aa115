"""A race in words and files."""

import json
from pathlib import Path

import pytest

from tests.small_runs import manifest
from tests.small_runs import task as small_task
from vipbench.run.score import Results
from vipbench.sequential.race import Look, Race, RaceRow
from vipbench.sequential.race_text import sentences, table, write


def row(place: int, racer: str, state: str, *accuracies: float) -> RaceRow:
    looks = tuple(
        Look(n=20 * n, accuracy=accuracy, lower=accuracy - 0.1, upper=accuracy + 0.1)
        for n, accuracy in enumerate(accuracies, 1)
    )
    last = looks[-1]
    return RaceRow(
        place=place,
        racer=racer,
        model="vip",
        style=racer,
        state=state,  # type: ignore[arg-type]
        block=len(looks),
        n=last.n,
        n_failed=0,
        accuracy=last.accuracy,
        lower=last.lower,
        upper=last.upper,
        looks=looks,
    )


@pytest.fixture
def race() -> Race:
    rows = (
        row(1, "rectangle:red", "best", 0.7, 0.75, 0.8),
        row(2, "ellipse:red", "within", 0.75, 0.7, 0.79),
        row(3, "scribble [b]", "out", 0.3),
    )
    results = Results(Path("run"), [], manifest({"own": small_task(200)}), 0)
    return Race("own", "text_match", 0.02, 200, 3, rows, (results,), True)


def test_the_table_says_who_was_asked_how_much(race: Race) -> None:
    assert table(race).rows[0] == ("1", "rectangle:red", "80.0 [70.0, 90.0]", "60", "best")
    assert table(race).rows[2][3:] == ("20", "out at block 1")
    assert "synthetic data" in table(race).title


def test_answers_that_failed_have_a_column(race: Race) -> None:
    assert "failed" not in table(race).header
    failed = race.rows[1].model_copy(update={"n_failed": 3})
    shown = table(race._replace(rows=(race.rows[0], failed, race.rows[2])))
    place = shown.header.index("failed")
    assert [line[place] for line in shown.rows] == ["0", "3", "0"]


def test_the_sentences_say_what_came_of_it_and_what_was_saved(race: Race) -> None:
    said = " ".join(sentences(race))
    assert "rectangle:red leads; ellipse:red is within 2 points of the best; 1 other cannot" in said
    assert "Asked: 140 questions in 3 blocks, 23.3 % of the 600" in said
    assert "460 were saved" in said
    assert "no estimates of the benchmark's" in said


def test_the_files_are_the_same_for_the_same_race(race: Race, tmp_path: Path) -> None:
    first, second = write(race, tmp_path / "a"), write(race, tmp_path / "b")
    assert [path.name for path in first] == [
        "race.json", "race.md", "race.pdf", "race.svg", "race.png",
    ]  # fmt: skip
    for one, two in zip(first, second, strict=True):
        assert one.read_bytes() == two.read_bytes()
    content = json.loads((tmp_path / "a" / "race.json").read_text())
    assert [each["state"] for each in content["rows"]] == ["best", "within", "out"]
    assert "scribble" in (tmp_path / "a" / "race.svg").read_text()
