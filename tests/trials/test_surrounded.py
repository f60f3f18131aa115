"""Marks that stand out from what is around their regions."""

from pathlib import Path

import pytest
from PIL import Image

from vipbench.errors import DataError
from vipbench.prompts.colors import COLORS, farthest
from vipbench.schema import DataSource, Region, Sample
from vipbench.trials.check import check_task
from vipbench.trials.make import make_trials
from vipbench.trials.selection import Selection, select
from vipbench.trials.surrounded import surrounded
from vipbench.trials.visibility import check_visibility

STYLE = "rectangle:contrast"


def chosen(own: Path, styles: str) -> Selection:
    source = DataSource(own / "own.jsonl", own)
    return select(tasks=["own"], styles=styles, data={"own": source}, include=[own])


def test_a_run_draws_and_names_the_colour_that_stands_out(own: Path) -> None:
    trials, _ = make_trials(chosen(own, f"{STYLE};rectangle:red"), list, seed=0)
    asked = [trial.request for trial in trials if trial.request is not None]
    colors = {each.id: each.visual_prompts[0].color for each in asked if each.style == STYLE}
    white, gray = COLORS[farthest((252, 252, 252))], COLORS[farthest((132, 132, 132))]
    assert colors == {"q1": white, "q2": white, "q3": gray}
    assert f"{farthest((252, 252, 252))} rectangle" in asked[0].turns[0]
    assert len({each.key for each in asked}) == 6


def test_a_wrong_region_stands_out_from_where_it_lies(own: Path) -> None:
    selection = chosen(own, STYLE)
    [style] = selection.tasks[0].styles
    sample = Sample(
        id="1", image="a.png", question="<r0>?", target="A", group="a",
        regions=(Region(box=(5, 5, 30, 30)),),
    )  # fmt: skip
    assert surrounded(sample, style, own).surroundings == ((252, 252, 252),)
    [red] = chosen(own, "rectangle:red").tasks[0].styles
    assert surrounded(sample, red, own) is sample
    with pytest.raises(DataError, match=r"none\.png"):
        surrounded(sample.model_copy(update={"image": "none.png"}), style, own)


def test_check_and_visibility_read_the_pixels_too(own: Path) -> None:
    source = DataSource(own / "own.jsonl", own)
    [report] = check_visibility(["own"], {"own": source}, STYLE, [own])
    checked = check_task(chosen(own, STYLE).tasks[0])
    assert "not_askable" not in {finding.code for finding in checked.findings}
    assert (report.n_unusable, [m.style for m in report.marks][:1]) == (0, [STYLE])


def test_a_picture_that_cannot_be_decoded_costs_its_own_questions_alone(own: Path) -> None:
    """Its header can be read, so that it is opened not before a colour is sought."""
    Image.new("F", (60, 40)).save(own / "b.jpg", "TIFF")
    trials, facts = make_trials(chosen(own, f"{STYLE},ellipse:contrast"), list, seed=0)
    assert [(each.style, each.id, each.request is None) for each in trials] == [
        (style, id_, id_ == "q3")
        for style in (STYLE, "ellipse:contrast")
        for id_ in ("q1", "q2", "q3")
    ]
    assert [(each.id, each.code) for each in facts["own"].errors] == [("q3", "bad_image")]
