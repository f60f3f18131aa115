"""What a row says to a reader."""

from pathlib import Path

from tests.small_runs import line, manifest, save, task
from vipbench import files
from vipbench.report.leaderboard import leaderboard
from vipbench.report.rows import TROUBLES, accuracy_text, lost_marks, short_accuracy_text
from vipbench.runfolder.folder import SCORES
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.summary import Row, read_summary
from vipbench.scoring.summary import summarise


def whole(n: int, **fields: int) -> tuple[Manifest, Row]:
    made = manifest({"own": task(n)})
    lines = [line(str(i), float(i % 2)) for i in range(n)]
    return made, summarise(made, lines)[0].model_copy(update=fields)


def test_an_accuracy_has_its_interval_and_a_mark_where_it_is_unreliable() -> None:
    assert accuracy_text(whole(4)[1]) == "50.0 [7.2, 92.8]?"
    assert short_accuracy_text(whole(4)[1]) == "50.0 [7-93]?"
    assert not accuracy_text(whole(10)[1]).endswith("?")
    unknown = summarise(manifest({"own": task(1)}), [line("1", None)])[0]
    assert accuracy_text(unknown) == short_accuracy_text(unknown) == "-"


def test_few_images_that_hold_most_samples_are_unreliable_too(tmp_path: Path) -> None:
    made = manifest({"own": task(400)})
    lines = [line(str(i), float(i > 4), group=str(min(i, 200))) for i in range(400)]
    rows = summarise(made, lines)
    assert (rows[0].n, rows[0].n_clusters) == (400, 201)
    assert {accuracy_text(row)[-1] for row in rows} == {"?"}
    folder = save(tmp_path, made, lines)
    assert not accuracy_text(read_summary(folder)[0]).endswith("?")  # without its scores
    files.write_lines(folder / SCORES, lines)
    assert list(map(accuracy_text, read_summary(folder))) == list(map(accuracy_text, rows))
    leaderboard([folder], tmp_path / "board")
    text = (tmp_path / "board" / "leaderboard.md").read_text()
    assert "few images hold most samples (fewer than 10 by Kish's number)" in text
    even = [line(str(i), float(i > 4), group=str(i // 4)) for i in range(400)]
    assert not accuracy_text(summarise(made, even)[0]).endswith("?")


def test_lost_marks_are_a_warning_with_advice() -> None:
    made, row = whole(4, n_marks_lost=2, n_marks_cut=1)
    assert TROUBLES["mark lost"](row) == 2
    assert lost_marks(made, [row, row]) == [
        "own under demo: in 2 of 4 samples a mark is lost (and in 1 one is cut) under fit pad · it "
        "is too small, or outside the image · `vipbench check own --visibility` compares the fits"
    ]
    cropped = row.model_copy(update={"fit": "crop", "n_marks_cut": 0})
    assert "is lost under fit crop · use --fit pad · " in lost_marks(made, [cropped])[0]
    assert lost_marks(made, [whole(4)[1]]) == []
