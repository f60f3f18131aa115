"""What a row says to a reader."""

from tests.small_runs import line, manifest, task
from vipbench.report.rows import TROUBLES, accuracy_text, lost_marks, short_accuracy_text
from vipbench.runfolder.manifest import Manifest
from vipbench.runfolder.summary import Row
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
