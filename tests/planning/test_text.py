"""The screen: 80 columns, long lists folded."""

from pathlib import Path

import pytest

from tests.planning.made import make_7b, plan_paper
from vipbench.planning.devices import parse_fleet
from vipbench.planning.records import Hours, Plan, Row
from vipbench.planning.text import lines


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return plan_paper(make_7b(tmp_path_factory.mktemp("models") / "vip-llava-7b"))


def folded(plan: Plan, n_tasks: int, n_styles: int) -> list[str]:
    rows = tuple(
        Row(
            task=f"task_{task}",
            style=f"style_{style}",
            n_requests=10,
            n_unusable=1,
            n_pictures=9,
            n_images=5,
            is_read=True,
        )
        for task in range(n_tasks)
        for style in range(n_styles)
    )
    return lines(plan.model_copy(update={"rows": rows}))


def test_vcr_is_said_to_have_no_number(paper: Plan) -> None:
    text = " ".join(" ".join(lines(paper)).split())
    assert (
        "vcr_q2ar: none (53,068 requests, 45 % of all); mucai/vip-llava-7b-base-vcr-ft has some"
        in text
    )
    assert "--comparable-only leaves out 53,068 requests (45 %)" in text
    assert "35 % of the peak that the maker states (assumed)" in text
    assert "all 116,650 - 116,650 -" in text


def test_a_reason_is_said_once(paper: Plan) -> None:
    names = [each.name for each in paper.comparable]
    reasons = {"numbers": (), "reasons": ("the data are synthetic",)}
    alike = [each.model_copy(update=reasons) for each in paper.comparable]
    text = " ".join(" ".join(lines(paper.model_copy(update={"comparable": tuple(alike)}))).split())
    whole = f"{', '.join(names)}: none comparable (116,650 requests, 100 % of all): the data"
    assert whole in text
    assert text.count("the data are synthetic") == 1
    other = alike[0].model_copy(update={"reasons": (*alike[0].reasons, "another split")})
    two = lines(paper.model_copy(update={"comparable": (other, *alike[1:])}))
    assert "the data are synthetic; another split" in " ".join(" ".join(two).split())


def test_a_cpu_has_a_line(paper: Plan) -> None:
    assert ["1", "x", "cpu", "-", "-", "-", "-"] in [line.split() for line in lines(paper)]
    assert "a run with --limit 100 tells" in " ".join(" ".join(lines(paper)).split())


@pytest.mark.parametrize(
    ("seconds", "least", "said"),
    [
        (8.5e-05, 1e-6, "less than a second (of a file)"),
        (2.5, 0.001, "about 2.5 s (of a file)"),
        (90.0, 2.0, "about 1.5 min, no less than 2 s (of a file)"),
    ],
)
def test_short_times_are_plain_words(paper: Plan, seconds: float, least: float, said: str) -> None:
    hours = Hours(
        device="cpu",
        n=1,
        hours=seconds / 3600,
        least_hours=least / 3600,
        source="bench",
        text="of a file",
    )
    found = lines(paper.model_copy(update={"hours": (hours,)}))
    assert any(line.endswith(f"1 x cpu: {said}") for line in found)


def test_all_of_it_fits_into_80_columns(paper: Plan, tmp_path: Path) -> None:
    two = plan_paper(make_7b(tmp_path / "vip-llava-7b"), fleet=parse_fleet("2 x T4"))
    for plan in (paper, two):
        assert max(map(len, lines(plan))) <= 78
        assert len(lines(plan)) <= 50
    assert any("does not fit into 16 GB" in line for line in lines(two))
    assert max(map(len, folded(paper, 3, 12))) <= 78


def test_twelve_styles_are_listed(paper: Plan) -> None:
    one = folded(paper, 1, 12)
    assert sum(line.startswith("task_0") for line in one) == 12
    several = folded(paper, 3, 12)
    assert "task_0" in " ".join(several)
    assert sum(line.startswith("style_") for line in several) == 12
    assert "  ".join(["style_11", "      30", "       3", "      27", "    15"]) in several


def test_longer_lists_are_folded_to_totals(paper: Plan) -> None:
    found = folded(paper, 20, 15)
    assert sum(line.startswith("task_") for line in found) == 11
    assert [line.split() for line in found if line.startswith(("9 others", "4 others"))] == [
        ["9", "others", "1,350", "135", "1,215", "45"],
        ["4", "others", "800", "80", "720", "100"],
    ]
    [total] = [line.split() for line in found if line.startswith("all ")]
    assert total == ["all", "3,000", "300", "2,700", "100"]
