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
    usual = {"width": AS_HEADLINE, "alpha": AS_HEADLINE}
    assert found == [
        {"shape": "point", "color": "red"} | usual,
        {"shape": "arrow", "color": "#1e90ff", "width": "4", "alpha": AS_HEADLINE},
        {"shape": "rectangle", "color": "red", "width": AS_HEADLINE, "alpha": "64"},
        None,
        None,
        None,
    ]
