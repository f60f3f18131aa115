"""Trainings in a report: which are shown, and what of them."""

from pathlib import Path

import pytest

from tests.html.made import Item, write_run
from vipbench.html import write_report
from vipbench.runfolder.name_file import write_name


def runs(folder: Path, images: Path, steps: tuple[int, ...], n: int = 3) -> list[Path]:
    """Write runs of one training, all answers right at the first step and wrong at the last."""
    found = []
    for number, step in enumerate(steps):
        answer = "A" if number < len(steps) - 1 else "B"
        items = [Item(id=f"q{each}", answer=answer) for each in range(n)]
        found.append(write_run(folder / f"run-{number}", items, images=images))
        write_name(found[-1], name="expA", step=step)
    return found


@pytest.mark.usefixtures("no_rendering")
def test_three_steps_of_one_training_are_a_curve(tmp_path: Path, images: Path) -> None:
    page = write_report(runs(tmp_path, images, (0, 100, 1200)), tmp_path / "out")
    text = page.read_text(encoding="utf-8")
    assert 'id="history"' in text
    assert '<a href="#history">' in text
    assert "<h3><bdi>expA</bdi></h3>" in text
    assert ">1,200</bdi></th>" in text
    assert "no drop beyond doubt" in text  # three samples of one image tell nothing
    for kind in ("png", "svg", "pdf"):
        path = f"report_files/plots/history-1.{kind}"
        assert f'href="{path}"' in text
        assert (tmp_path / "out" / path).exists()
    section = text.partition('id="history"')[2].partition("</section>")[0]
    assert str(tmp_path) not in section


@pytest.mark.usefixtures("no_rendering")
def test_two_steps_are_none_and_those_of_other_samples_are_said(
    tmp_path: Path, images: Path
) -> None:
    made = runs(tmp_path, images, (0, 100))
    assert 'id="history"' not in write_report(made, tmp_path / "out").read_text(encoding="utf-8")
    other = write_run(tmp_path / "other", [Item(id="another")], images=images)
    write_name(other, name="expA", step=200)
    text = write_report([*made, other], tmp_path / "out").read_text(encoding="utf-8")
    assert 'id="history"' not in text
    assert "expA: its curve is not shown, since its runs cannot be paired" in text
