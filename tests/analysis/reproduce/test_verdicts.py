"""Which published numbers a run is held against, and the verdict."""

from pathlib import Path

import pytest

from tests.analysis.reproduce.made import V7W, VIP_7B, codes, differing, published, v7w
from tests.results import manifest, row, save_rows, task_run
from vipbench.analysis.reproduce import records
from vipbench.analysis.reproduce.text import markdown, summary
from vipbench.analysis.reproduce.verdicts import reproduce
from vipbench.errors import RunError


@pytest.mark.parametrize(
    ("accuracy", "verdict"),
    [
        (0.8609, "reproduced"),
        (0.8689, "reproduced"),  # 86.59 - 0.5 is the end of the widened interval
        (0.8690, "outside"),
        (0.8529, "reproduced"),
        (0.8528, "outside"),
    ],
)
def test_a_number_is_reproduced_inside_the_widened_interval(
    tmp_path: Path, accuracy: float, verdict: str
) -> None:
    found = reproduce([v7w(tmp_path, accuracy)])
    assert published(found, 86.09).verdict == verdict
    assert published(found, 86.09).reasons == ()


def test_the_widening_is_half_a_point(tmp_path: Path) -> None:
    assert records.WIDENING == reproduce([v7w(tmp_path, 0.86)]).widening == 0.5


def test_what_is_shown_with_a_verdict(tmp_path: Path) -> None:
    one = published(reproduce([v7w(tmp_path, 0.8579)]), 86.09)
    assert one.points == pytest.approx(-0.30)
    assert one.ours is not None
    assert (one.ours.n, one.ours.n_expected) == (57265, 57265)
    assert one.ours.ci_low == pytest.approx(0.8549)
    assert one.ours.ci_high == pytest.approx(0.8609)
    assert one.runs == (str(tmp_path),)
    assert one.published.url is not None
    assert one.published.url.endswith("MODEL_ZOO.md")
    assert differing(one) == {"decoding": ("greedy", "sampled at T = 0.2 without a seed")}


@pytest.mark.parametrize(
    ("model", "converted_from", "expected"),
    [
        (VIP_7B, None, {}),
        ("MUCAI/ViP-LLaVA-7b", None, {}),
        (
            "llava-hf/vip-llava-7b-hf",
            None,
            {"conversion": ("llava-hf/vip-llava-7b-hf, a conversion", VIP_7B)},
        ),
        (
            "vip-llava-7b",
            None,
            {"checkpoint": ("vip-llava-7b, taken for it by its name only", VIP_7B)},
        ),
        (
            "my-folder",
            VIP_7B,
            {"conversion": (f"my-folder, converted from {VIP_7B}", "the original")},
        ),
        (
            "vip-llava-13b",
            "vip-llava-7b",
            {
                "checkpoint": ("vip-llava-13b, taken for it by its name only", VIP_7B),
                "conversion": ("vip-llava-13b, converted from vip-llava-7b", "the original"),
            },
        ),
    ],
)
def test_a_run_is_held_against_the_numbers_of_its_model(
    tmp_path: Path, model: str, converted_from: str | None, expected: dict[str, tuple[str, str]]
) -> None:
    run = v7w(
        tmp_path,
        0.861,
        model,
        converted_from=converted_from,
        settings={"decoding": "official"},
    )
    found = reproduce([run])
    assert {each.published.system for each in found.comparisons} == {"ViP-LLaVA-7B"}
    assert {each.verdict for each in found.comparisons} == {"reproduced"}
    assert differing(published(found, 86.09)) == expected


@pytest.mark.parametrize("model", ["other/vip-llava-7b", "vip-llava", "oracle"])
def test_another_model_is_held_against_nothing(tmp_path: Path, model: str) -> None:
    found = reproduce([v7w(tmp_path, 0.861, model)])
    assert found.comparisons == ()
    [left] = found.unlisted
    assert (left.task, left.n, left.reasons) == (V7W, 15, ())
    assert summary(found) == "No published number is comparable with what was run."


def test_other_systems_are_counted_and_listed_on_demand(tmp_path: Path) -> None:
    run = v7w(tmp_path, 0.861)
    assert [each.n for each in reproduce([run]).unlisted] == [13]
    found = reproduce([run], everything=True)
    assert found.unlisted == ()
    assert len(found.comparisons) == 15
    shikra = published(found, 85.33)
    assert (shikra.verdict, codes(shikra), shikra.points) == ("not comparable", ["system"], None)
    assert shikra.reasons[0].text == (f"the number is about Shikra-13B, the run about {VIP_7B}")


def test_the_user_may_say_which_system_it_is(tmp_path: Path) -> None:
    found = reproduce([v7w(tmp_path, 0.83, "mine")], system="gpt4roi-7b")
    [one] = found.comparisons
    assert (one.published.value, one.verdict) == (81.83, "outside")
    assert differing(one) == {"checkpoint": ("mine, taken for it by --system", "GPT4RoI-7B")}
    # The model's own numbers are not looked for then.
    found = reproduce([v7w(tmp_path, 0.861)], system="ViP-LLaVA-13B")
    assert {each.published.value for each in found.comparisons} == {88.28, 87.9, 87.91}


def test_an_unknown_system_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"no published number is about it · did you mean 'ViP-LLaVA"
    ):
        reproduce([v7w(tmp_path, 0.86)], system="ViP-LLaVA-7")


def test_a_task_without_published_numbers(tmp_path: Path) -> None:
    run = manifest(VIP_7B, {"pointqa_local": task_run("pointqa_local")})
    found = reproduce([save_rows(tmp_path, run, [row("pointqa_local", 0.5, 1)])])
    [left] = found.unlisted
    assert (left.n, found.comparisons) == (0, ())
    assert "no published number is known for this task" in markdown(found)


def test_what_stands_in_the_way_is_said_of_unlisted_numbers_too(tmp_path: Path) -> None:
    run = v7w(tmp_path, 0.5, "oracle", task={"synthetic": True}, row={"n": 90})
    [left] = reproduce([run]).unlisted
    assert [reason.code for reason in left.reasons] == ["synthetic", "subset"]


def test_nothing_scored_is_not_outside(tmp_path: Path) -> None:
    one = published(reproduce([v7w(tmp_path, None, row={"n": 0, "n_errors": 57265})]), 86.09)
    assert (one.verdict, one.points) == ("not comparable", None)


def test_the_published_style_is_taken_where_the_run_has_several(tmp_path: Path) -> None:
    made = manifest(VIP_7B, {V7W: task_run(V7W, n_samples=57265, headline="none")})
    rows = [row(V7W, 0.3, 57265, style="none"), row(V7W, 0.861, 57265)]
    one = published(reproduce([save_rows(tmp_path, made, rows)]), 86.09)
    assert one.ours is not None
    assert (one.ours.style, one.verdict) == ("official_rectangles", "reproduced")
