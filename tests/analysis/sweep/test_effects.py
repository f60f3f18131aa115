"""Effects of factors: numbers that are known by construction, and scipy's."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tests.analysis.sweep.made import coins, make
from vipbench.analysis.sweep.effects import AS_HEADLINE, EffectRow, levels
from vipbench.analysis.sweep.overview import Sweep, sweep
from vipbench.data.tasks import all_styles
from vipbench.prompts.expressions import parse_styles


def effects(found: Sweep, kind: str) -> dict[tuple[str, str], EffectRow]:
    return {(row.factor, row.level): row for row in found.effects if row.kind == kind}


def test_main_effects_of_a_full_product_are_differences_of_means(tmp_path: Path) -> None:
    cells = list(itertools.product(("rectangle", "ellipse", "arrow"), ("red", "blue")))
    values: dict[str, list[float]] = {"official_rectangles": coins(99, 0.8)}
    values |= {f"{s}:{c}": coins(i, 0.4 + 0.08 * i) for i, (s, c) in enumerate(cells)}
    found = sweep([make(tmp_path, "m", values)])
    means = {cell: np.mean(values[":".join(cell)]) for cell in cells}
    grand = np.mean(list(means.values()))
    main = effects(found, "main")
    for shape in ("rectangle", "ellipse", "arrow"):
        mean = np.mean([m for (s, _), m in means.items() if s == shape])
        assert main["shape", shape].effect == pytest.approx(mean - grand)
        assert main["shape", shape].n_styles == 2
    for color in ("red", "blue"):
        mean = np.mean([m for (_, c), m in means.items() if c == color])
        assert main["color", color].effect == pytest.approx(mean - grand)
    both = effects(found, "interaction")
    for (shape, color), mean in means.items():
        if (row := both.get(("shape x color", f"{shape} x {color}"))) is not None:
            added = main["shape", shape].effect + main["color", color].effect
            assert row.effect == pytest.approx(mean - grand - added)
    assert len(both) == 5


def test_the_interval_of_an_effect_is_that_of_its_weighted_sums(tmp_path: Path) -> None:
    values: dict[str, list[float]] = {"official_rectangles": coins(9, 0.8)}
    values |= {f"{s}:red": coins(i, 0.3 + 0.3 * i) for i, s in enumerate(("rectangle", "arrow"))}
    found = effects(sweep([make(tmp_path, "m", values, same_image=1)]), "main")
    row = found["shape", "arrow"]
    sums = (np.array(values["arrow:red"]) - np.array(values["rectangle:red"])) / 2
    test = scipy_stats.ttest_1samp(sums, 0)
    interval = test.confidence_interval(0.95)
    assert row.effect == pytest.approx(sums.mean())
    assert (row.ci_low, row.ci_high) == pytest.approx((interval.low, interval.high))
    # Two rows: Holm doubles the smaller p-value.
    assert row.p == pytest.approx(min(1, 2 * test.pvalue))


def test_effects_of_a_sum_without_interaction_are_found_in_an_unbalanced_design(
    tmp_path: Path,
) -> None:
    """Shapes in red, and one shape in all colours: as `--styles shapes,colors` asks."""
    rng = np.random.default_rng(0)
    shapes = {"rectangle": 0.1, "ellipse": -0.1, "arrow": 0.2, "point": -0.2}
    colors = {"red": 0.05, "blue": 0.0, "gold": -0.05}
    names = [f"{s}:red" for s in shapes] + ["rectangle:blue", "rectangle:gold"]
    noise = rng.normal(0, 0.02, 60)
    values = {"official_rectangles": [0.5] * 60}
    for name in names:
        shape, color = name.split(":")
        values[name] = [0.5 + shapes[shape] + colors[color] + x for x in noise]
    main = effects(sweep([make(tmp_path, "m", values)]), "main")
    for factor, known in (("shape", shapes), ("color", colors)):
        middle = np.mean(list(known.values()))
        for level, value in known.items():
            assert main[factor, level].effect == pytest.approx(value - middle)


def test_factors_that_go_together_are_said_to_be_inseparable(tmp_path: Path) -> None:
    names = ("official_rectangles", "rectangle:red", "arrow:blue")
    found = sweep([make(tmp_path, "m", {name: coins(0, 0.5) for name in names})])
    assert found.effects == ()
    assert "effects of shape, color cannot be told apart" in found.notes[0]


def test_levels_leave_what_the_headline_gives_to_it() -> None:
    known = all_styles()
    (headline,) = parse_styles("demo", known)
    names = (
        "point:red",
        "arrow:#1e90ff:width=4",
        "rectangle:red:alpha=64",
        "demo",
        "none",
        "wrong",
    )
    found = [levels(style, headline) for style in parse_styles(",".join(names), known, headline)]
    usual = {"width": AS_HEADLINE, "alpha": AS_HEADLINE, "words": "full", "drawn": "yes"}
    line = {"line": "solid"}
    assert found == [
        {"shape": "point", "color": "red"} | usual,
        {"shape": "arrow", "color": "#1e90ff"} | usual | {"width": "4"} | line,
        {"shape": "rectangle", "color": "red"} | usual | {"alpha": "64", "nested": "1"} | line,
        None,
        None,
        None,
    ]


def test_marks_and_words_are_told_apart_by_a_factorial(tmp_path: Path) -> None:
    """What is drawn adds 40 points, and what is said 10; there is no more to it."""
    shares = {
        "rectangle:red": 0.9,
        "rectangle:red:words=none": 0.8,
        "named": 0.5,
        "none": 0.4,
    }
    n = 60
    values = {
        name: [1.0] * round(n * share) + [0.0] * round(n * (1 - share))
        for name, share in shares.items()
    }
    found = effects(sweep([make(tmp_path, "m", values)]), "main")
    assert found["drawn", "yes"].effect - found["drawn", "no"].effect == pytest.approx(0.4)
    assert found["words", "full"].effect - found["words", "none"].effect == pytest.approx(0.1)
    one_shape = {name: values[name] for name in ("rectangle:red", "named", "none")}
    assert effects(sweep([make(tmp_path / "b", "m", one_shape)]), "main") == {}


def test_words_of_other_marks_are_not_those_of_the_marks_that_are_drawn(tmp_path: Path) -> None:
    """`named` names what the headline style draws: here rectangles of many colours."""
    shares = {"official_rectangles": 0.7, "rectangle:red": 0.9, "rectangle:red:words=none": 0.8}
    shares |= {"named": 0.1, "none": 0.4}
    values = {name: [share] * 60 for name, share in shares.items()}
    found = effects(sweep([make(tmp_path, "m", values)]), "main")
    assert found["words", "full"].effect - found["words", "none"].effect == pytest.approx(0.1)
    assert found["drawn", "yes"].effect - found["drawn", "no"].effect == pytest.approx(0.4)
    assert found["drawn", "no"].n_styles == 1


def test_kinds_and_radii_of_markers_are_factors_and_others_have_none_of_their_effects(
    tmp_path: Path,
) -> None:
    kinds, radii = {"circle": 0.1, "dot": -0.1}, {"3": 0.05, "9": -0.05}
    cells = itertools.product(kinds, radii)
    values = {"official_rectangles": [0.5] * 60, "arrow:red": [0.3] * 60}
    values |= {
        f"marker:{kind}:red:radius={radius}": [0.5 + kinds[kind] + radii[radius]] * 60
        for kind, radius in cells
    }
    main = effects(sweep([make(tmp_path, "m", values)]), "main")
    assert {k: round(row.effect, 6) for k, row in main.items()} == {
        ("shape", "arrow"): -0.1,
        ("shape", "marker"): 0.1,
        ("marker", "circle"): 0.1,
        ("marker", "dot"): -0.1,
        ("marker_radius", "3"): 0.05,
        ("marker_radius", "9"): -0.05,
    }


def test_settings_that_vary_together_are_one_factor(tmp_path: Path) -> None:
    tags = {"tag:red:size=16": 0.5, "tag:red:size=32:offset=0/-9": 0.7}
    tags |= {"tag:red:letter:size=16": 0.3, "tag:red:letter:size=32:offset=0/-9": 0.5}
    values = {"official_rectangles": [0.5] * 60} | {k: [v] * 60 for k, v in tags.items()}
    found = sweep([make(tmp_path, "m", values)])
    main = effects(found, "main")
    assert {k: round(row.effect, 6) for k, row in main.items()} == {
        ("tag", "number"): 0.1,
        ("tag", "letter"): -0.1,
        ("tag_offset & tag_size", "0/0 & 16"): -0.1,
        ("tag_offset & tag_size", "0/-9 & 32"): 0.1,
    }


def test_the_variants_of_vpbench_can_be_told_apart(tmp_path: Path) -> None:
    """Size and offset of its labels go together; the radii keep effects of their own."""
    names = [style.name for style in parse_styles("vpbench_variants", all_styles())]
    values = {name: [0.5] * 60 for name in names} | {"vpbench_radius_15": [0.9] * 60}
    found = sweep([make(tmp_path, "m", values)])
    main = effects(found, "main")
    assert found.notes == ()
    factors = {factor for factor, _ in main}
    labels = "tag_offset & tag_long_offset & tag_size"
    assert factors == {"color", "marker", "marker_radius", "tag", labels}
    assert main["marker_radius", "15 px"].effect == pytest.approx(0.4 * 4 / 5)
    assert main["tag", "id_number"].effect == pytest.approx(0, abs=1e-9)
