"""What the numbers of boxes are, and which way up the images are: as stated, and as they look."""

from pathlib import Path

import pytest
from PIL import Image

from tests.trials.made import choose, question, write
from vipbench.data.samples import inspect_image, load_samples
from vipbench.errors import TaskError
from vipbench.schema import Problem, Request, Sample
from vipbench.trials.make import make_trials
from vipbench.trials.selection import Selection

TASK = """\
name: own
version: 1
title: Our own
kind: choice
data: own.jsonl
reader: jsonl
styles: [red_rectangle]
"""


def make_task(folder: Path, *statements: str) -> Path:
    (folder / "own.yaml").write_text(TASK + "".join(f"{line}\n" for line in statements))
    return folder


def save(path: Path, orientation: int = 1, size: tuple[int, int] = (60, 40)) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size, "white").save(path, exif=exif)


def inspected(selection: Selection) -> list[tuple[Sample | None, list[Problem]]]:
    choice = selection.tasks[0]
    records = load_samples(choice.spec, choice.source)
    return [inspect_image(each, choice.source) for each in records if isinstance(each, Sample)]


def requests(selection: Selection) -> list[Request]:
    trials, _ = make_trials(selection, list, seed=0)
    return [trial.request for trial in trials if trial.request is not None]


# --- EXIF


def turned_task(folder: Path, *statements: str) -> Selection:
    save(folder / "turned.png", 6)
    save(folder / "plain.png")
    write(folder, question("a", "turned.png"), question("b", "plain.png"))
    return choose(make_task(folder, *statements), "own")


def test_an_orientation_under_boxes_is_reported(tmp_path: Path) -> None:
    (a, found), (b, none) = inspected(turned_task(tmp_path))
    assert a is not None and b is not None
    assert (a.image_size, a.exif, none) == ((60, 40), None, [])
    [problem] = found
    assert (problem.code, problem.warning) == ("exif_not_applied", True)
    assert "turned.png: EXIF orientation 6, not applied" in problem.message
    assert "write `exif: apply` in own.yaml" in problem.message


def test_a_statement_silences_it(tmp_path: Path) -> None:
    (a, found), _ = inspected(turned_task(tmp_path, "exif: ignore"))
    assert a is not None
    assert (a.image_size, a.exif, found) == ((60, 40), None, [])


def test_only_images_that_are_turned_have_other_keys(tmp_path: Path) -> None:
    before = requests(turned_task(tmp_path))
    after = requests(turned_task(tmp_path, "exif: apply"))
    assert [request.exif for request in after] == ["apply", None]
    assert before[0].key != after[0].key
    assert before[1] == after[1]
    (a, found), (b, _) = inspected(turned_task(tmp_path, "exif: apply"))
    assert a is not None and b is not None
    assert (a.image_size, b.image_size, found) == ((40, 60), (60, 40), [])


def test_the_data_go_before_the_task(tmp_path: Path) -> None:
    chosen = turned_task(tmp_path, "exif: ignore")
    choice = chosen.tasks[0]
    source = choice.source._replace(exif="apply")
    [(a, _), _] = inspected(chosen._replace(tasks=(choice._replace(source=source),)))
    assert a is not None
    assert a.exif == "apply"


@pytest.mark.parametrize("statement", ["exif: aply", "boxes: percent"])
def test_unknown_statements_are_refused(tmp_path: Path, statement: str) -> None:
    with pytest.raises(TaskError, match=r"own\.yaml"):
        turned_task(tmp_path, statement)
