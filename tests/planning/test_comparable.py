"""Which published numbers a checkpoint has, and who has the others."""

from pathlib import Path

import pytest

from tests.planning.made import make_7b, plan_paper
from vipbench.errors import RunError


def test_vcr_has_no_number_of_a_base_7b(tmp_path: Path) -> None:
    plan = plan_paper(make_7b(tmp_path / "vip-llava-7b"))
    found = {each.name: each for each in plan.comparable}
    assert list(found) == [
        "visual7w_pointing", "pointqa_looktwice", "vcr_q2ar", "vip_bench_bbox", "vip_bench_human",
    ]  # fmt: skip
    vcr = found["vcr_q2ar"]
    assert (vcr.n_requests, vcr.numbers) == (53_068, ())
    assert vcr.share == pytest.approx(53_068 / 116_650)
    assert vcr.others == ("mucai/vip-llava-7b-base-vcr-ft",)
    assert [number.value for number in found["visual7w_pointing"].numbers] == [86.09, 86.6]
    assert found["vip_bench_bbox"].numbers[0].judge == "gpt-4-0613"


def test_the_checkpoint_that_was_tuned_on_vcr_has_that_number_alone(tmp_path: Path) -> None:
    folder = make_7b(tmp_path / "vip-llava-7b-base-vcr-ft")
    found = {each.name: bool(each.numbers) for each in plan_paper(folder).comparable}
    assert [name for name, has in found.items() if has] == ["vcr_q2ar"]


def test_the_name_is_that_of_what_was_converted(tmp_path: Path) -> None:
    folder = make_7b(tmp_path / "mine")
    (folder / "vipbench.json").write_text('{"converted_from": "mucai/vip-llava-7b"}')
    assert plan_paper(folder).comparable[0].numbers
    (folder / "vipbench.json").unlink()
    assert not plan_paper(folder).comparable[0].numbers
    assert plan_paper(folder, system="ViP-LLaVA-7B").comparable[0].numbers
    with pytest.raises(RunError, match="--published 'no one': no published number is about it"):
        plan_paper(folder, system="no one")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"limit": 100}, "not all samples are asked"),
        ({"styles": "none"}, "published under style official_rectangles, which is not asked"),
    ],
)
def test_other_samples_and_styles_are_not_comparable(
    tmp_path: Path, fields: dict[str, object], reason: str
) -> None:
    plan = plan_paper(make_7b(tmp_path / "vip-llava-7b"), fields=fields)
    assert not plan.comparable[0].numbers
    assert reason in plan.comparable[0].reasons


def test_what_is_not_comparable_is_left_out(tmp_path: Path) -> None:
    plan = plan_paper(make_7b(tmp_path / "vip-llava-7b"), comparable_only=True)
    assert plan.left_out == ("vcr_q2ar",)
    assert plan.n_requests == 63_582
    words = plan.commands[0].words
    assert words[words.index("--tasks") + 1] == (
        "visual7w_pointing,pointqa_looktwice,vip_bench_bbox,vip_bench_human"
    )


def test_where_nothing_is_left_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"--comparable-only: .* of mine .* · expected .* · leave it"
    ):
        plan_paper(make_7b(tmp_path / "mine"), comparable_only=True)
