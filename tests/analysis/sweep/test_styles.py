"""What styles do: numbers that are known by construction, and other implementations of them."""

import io
import itertools
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from scipy import stats as scipy_stats

from tests import results
from vipbench.analysis.sweep.effects import AS_HEADLINE, EffectRow, levels
from vipbench.analysis.sweep.styles import Sweep, sweep
from vipbench.analysis.sweep.text import sentences, tables, write
from vipbench.data.tasks import all_styles
from vipbench.prompts.styles import parse_styles
from vipbench.schema import PromptStyle

TASK = "visual7w_pointing"
Values = Mapping[str, Sequence[float | None]]


def styles_of(expression: str, headline: str = "official_rectangles") -> tuple[PromptStyle, ...]:
    known = all_styles()
    return parse_styles(expression, known, known[headline])


def make(folder: Path, model: str, values: Values, *, same_image: int = 2) -> Path:
    """Write a run with one score a style and sample; the first style is the headline."""
    styles = styles_of(";".join(values))
    n = len(next(iter(values.values())))
    tasks = {TASK: results.task_run(TASK, n_samples=n, headline=styles[0].name)}
    made = results.manifest(model, tasks, identity={"styles": {TASK: styles}})
    lines = [
        results.line(TASK, f"q{i}", value, style=style.name, group=f"image{i // same_image}")
        for style in styles
        for i, value in enumerate(values[style.name])
    ]
    return results.save_scores(folder, made, lines)


def coins(seed: int, p: float, n: int = 60) -> list[float]:
    return [float(x) for x in np.random.default_rng(seed).random(n) < p]


def effects(found: Sweep, kind: str) -> dict[tuple[str, str], EffectRow]:
    return {(row.factor, row.level): row for row in found.effects if row.kind == kind}


def test_each_style_is_paired_with_the_headline(tmp_path: Path) -> None:
    base, other = [1.0, 1.0, 1.0, 0.0] * 10, [1.0, 0.0, 1.0, 1.0] * 10
    run = make(tmp_path, "m", {"official_rectangles": base, "rectangle:red": other, "none": base})
    first, second, third = sweep([run]).styles
    assert (first.style, first.headline, first.difference, first.p) == (
        "official_rectangles", True, 0.0, 1.0,
    )  # fmt: skip
    assert (second.n, second.n_clusters, second.accuracy) == (40, 20, 0.75)
    assert second.difference == 0
    assert second.difference_low < 0 < second.difference_high
    assert (third.kind, third.difference) == ("none", 0)


def test_a_sample_without_a_score_under_either_style_is_left_out(tmp_path: Path) -> None:
    run = make(
        tmp_path,
        "m",
        {"official_rectangles": [1, 1, None, 0, 1], "rectangle:red": [0, None, 1, 0, 1]},
        same_image=1,
    )
    row = sweep([run]).styles[1]
    assert row.n == 3
    assert row.accuracy == pytest.approx(1 / 3)
    assert row.difference == pytest.approx(-1 / 3)


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


def test_factors_that_go_together_are_told_to_be_inseparable(tmp_path: Path) -> None:
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


# --- several models


def two(tmp_path: Path, wins: Sequence[int], n: int = 40) -> list[Path]:
    """Make runs of A and B; `wins` has for each style how many samples A is ahead."""
    names = ["official_rectangles", "rectangle:red", "arrow:red", "point:red"][: len(wins)]
    half = n // 2
    runs = []
    for model, sign in (("A", 1), ("B", -1)):
        values = {}
        for name, win in zip(names, wins, strict=True):
            n_right = half + (abs(win) if win * sign > 0 else 0)
            values[name] = [1.0] * n_right + [0.0] * (n - n_right)
        runs.append(make(tmp_path / model, model, values, same_image=1))
    return runs


def test_who_beats_whom_under_how_many_styles(tmp_path: Path) -> None:
    [row] = sweep(two(tmp_path, [15, 15, -2, 0])).orders
    assert (row.first, row.second, row.n_styles) == ("A", "B", 4)
    assert (row.n_first, row.n_second) == (2, 1)
    assert (row.n_first_clear, row.n_second_clear) == (2, 0)
    assert row.sentence == "A beats B under 2 of 4 styles, loses under 1 and ties under 1"
    # Two styles surely, one surely not, and half of a tie.
    assert row.resampled == pytest.approx((1 + 1 + 0.07 + 0.5) / 4, abs=0.03)
    [turned] = sweep(two(tmp_path / "b", [-5, -5])).orders
    assert turned.sentence == "B beats A under 2 of 2 styles"


def test_ranks_and_kendalls_tau(tmp_path: Path) -> None:
    names = ["official_rectangles", "rectangle:red", "arrow:red"]
    table = {"A": (0.9, 0.8, 0.5), "B": (0.6, 0.7, 0.6), "C": (0.3, 0.75, 0.7)}
    runs = [
        make(
            tmp_path / model,
            model,
            {
                name: [1.0] * round(40 * share) + [0.0] * (40 - round(40 * share))
                for name, share in zip(names, shares, strict=True)
            },
        )
        for model, shares in table.items()
    ]
    rows = sweep(runs).ranks
    columns = np.array(list(table.values())).T
    expected = [
        scipy_stats.kendalltau(columns[a], columns[b]).statistic
        for a, b in itertools.combinations(range(3), 2)
    ]
    assert [row.tau for row in rows] == [pytest.approx(np.mean(expected))] * 3
    assert [row.model for row in rows] == ["A", "B", "C"]
    assert sum(row.mean for row in rows) == pytest.approx(6)
    assert all(row.low <= row.mean <= row.high for row in rows)
    assert sweep(runs) == sweep(runs)


def test_only_styles_and_samples_that_all_have_count(tmp_path: Path) -> None:
    a = make(tmp_path / "a", "A", {"official_rectangles": [1, 1, None, 0], "arrow:red": [1] * 4})
    b = make(tmp_path / "b", "B", {"official_rectangles": [0, None, 1, 0], "point:red": [1] * 4})
    [row] = sweep([a, b]).orders
    assert (row.n_styles, row.n_first) == (1, 1)


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda folder: make(folder, "A", {"official_rectangles": [1, 0]}), "are both of model A"),
        (
            lambda folder: make(folder, "B", {"official_rectangles": [1, 0, 1]}),
            "hold different samples",
        ),
    ],
)
def test_the_order_of_runs_that_cannot_stand_side_by_side_is_not_told(
    tmp_path: Path, other: Callable[[Path], Path], said: str
) -> None:
    first = make(tmp_path / "a", "A", {"official_rectangles": [1, 0]})
    found = sweep([first, other(tmp_path / "b")])
    assert (found.orders, found.ranks) == ((), ())
    assert found.notes[0].startswith("visual7w_pointing: the order of the models is not told")
    assert found.notes[0].endswith(said)


# --- what is shown


def test_what_is_written_is_what_is_shown(tmp_path: Path) -> None:
    runs = two(tmp_path, [1, 20])
    found = sweep(runs)
    plain, text = write(found, tmp_path / "out")
    assert Sweep.model_validate(json.loads(plain.read_text())) == found
    console = Console(width=140, file=io.StringIO(), record=True)
    for table in tables(found):
        console.print(table)
    shown = console.export_text()
    markdown = text.read_text()
    for expected in ("rectangle:red", "headline", "100.0", "< 0.001"):
        assert expected in shown
        assert expected.replace("<", "\\<") in markdown
    assert "- visual7w_pointing: A beats B under 2 of 2 styles" in markdown
    assert len(re.findall(r"^\| --- ", markdown, re.MULTILINE)) == len(list(tables(found)))


def test_the_gain_from_the_mark_is_said(tmp_path: Path) -> None:
    values = {"official_rectangles": [1.0] * 30 + [0.0] * 10, "none": [1.0] * 10 + [0.0] * 30}
    found = sweep([make(tmp_path, "m", values, same_image=1)])
    [said] = sentences(found)
    assert said.startswith("visual7w_pointing, m: gain from the mark +50.0 [+3")
