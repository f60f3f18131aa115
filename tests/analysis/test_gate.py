import random
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from tests.analysis.test_pairs import HEADLINE, V7W, VCR, run
from tests.results import line, lines
from vipbench.analysis.gate import (
    DETECT,
    TaskThresholds,
    Thresholds,
    gate,
    read_thresholds,
)
from vipbench.analysis.gate_text import finding_lines, junit, summary, verdict
from vipbench.data.tasks import load_suite
from vipbench.errors import RunError, TaskError
from vipbench.files import write_json
from vipbench.runfolder.lines import ScoreLine
from vipbench.runfolder.manifest import CERTIFICATES, CertificateRef
from vipbench.schema import PromptStyle, Tags
from vipbench.stats.intervals import share_bound
from vipbench.stats.power import Design

POINT = "official_points"
BOTH = (V7W, VCR)
SHAPES: tuple[Tags, ...] = ({"shape": ("arrow",)}, {"shape": ("ellipse",)})


def answers(
    n: int, *, lost: int = 0, errors: int = 0, unparsed: int = 0, task: str = V7W
) -> list[ScoreLine]:
    """Make right answers, each on its own image, of which the first are wrong, errors, unparsed."""
    made = []
    for i in range(n):
        value = None if i < errors else float(i >= errors + unparsed + lost)
        fields: dict[str, Any] = {"group": f"image{i}", "tags": SHAPES[i % 2]}
        if errors <= i < errors + unparsed:
            fields["answer"] = None
        made.append(line(task, f"q{i}", value, **fields))
    return made


def test_a_drop_beyond_doubt_fails_and_a_run_against_itself_passes(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(200))
    new = run(tmp_path / "b", answers(200, lost=20), model="new")
    found = gate(base, new, Thresholds())
    [row] = found.rows
    assert row.failed
    assert (row.accuracy_base, row.accuracy_new) == (1, 0.9)
    assert row.difference == pytest.approx(-0.1)
    assert -0.1 < row.upper < 0
    assert row.lost == tuple(f"q{i}" for i in range(20))
    assert found.failures == [f"{V7W} -10.0 points (p < 0.001)"]
    assert verdict(found) == f"gate: failed: {V7W} -10.0 points (p < 0.001)"
    for same in (base, new):
        itself = gate(same, same, Thresholds())
        assert itself.failures == []
        assert verdict(itself) == "gate: passed: none of 1 row got worse"
    assert gate(new, base, Thresholds()).failures == []


def test_a_row_fails_where_its_bound_is_below_the_drop_that_is_allowed(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(200))
    new = run(tmp_path / "b", answers(200, lost=20))
    [row] = gate(base, new, Thresholds()).rows
    for allowed in (-row.upper - 0.001, -row.upper + 0.001):
        [again] = gate(base, new, Thresholds(max_drop=allowed)).rows
        assert again.failed is (again.upper < -allowed)
        assert again.failed is (allowed < -row.upper)


def test_the_level_is_divided_among_the_rows(tmp_path: Path) -> None:
    def runs(*lost: int) -> tuple[str, str]:
        tasks = (V7W, VCR)[: len(lost)]
        sides = []
        for name, counts in (("a", (0, 0)), ("b", lost)):
            scores = [
                each
                for task, n_lost in zip(tasks, counts, strict=False)
                for each in answers(400, lost=n_lost, task=task)
            ]
            sides.append(run(tmp_path / f"{name}{lost}", scores, tasks))
        return sides[0], sides[1]

    assert [row.failed for row in gate(*runs(5), Thresholds()).rows] == [True]
    alone, other = gate(*runs(5, 0), Thresholds()).rows
    assert not alone.failed
    assert alone.p < 0.05 < alone.p_holm
    assert not other.failed


def test_false_alarms_stay_at_the_level_over_all_rows(tmp_path: Path) -> None:
    rng = random.Random(21)
    alarms, runs = 0, 60
    for _ in range(runs):
        folders = []
        for name in ("a", "b"):
            scores = [
                line(task, f"q{i}", float(rng.random() < 0.7), group=f"image{i // 2}")
                for task in BOTH
                for i in range(60)
            ]
            folders.append(run(tmp_path / name, scores, BOTH))
        alarms += bool(gate(folders[0], folders[1], Thresholds()).failures)
    assert alarms / runs < 0.05 + 4 * (0.05 * 0.95 / runs) ** 0.5


def test_prompt_types_are_rows_where_asked(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(200))
    worse = answers(200)
    for i in range(1, 60, 2):
        worse[i] = worse[i].model_copy(update={"value": 0.0})
    new = run(tmp_path / "b", worse)
    rows = gate(base, new, Thresholds(), by=["shape"]).rows
    assert [(row.group, row.failed) for row in rows] == [
        *(("all", True), ("shape=arrow", False), ("shape=ellipse", True)),
    ]
    with pytest.raises(RunError, match=r"--by shapes: is not a break.* · did you mean 'shape'"):
        gate(base, new, Thresholds(), by=["shapes"])


def test_controls_and_other_styles_never_count(tmp_path: Path) -> None:
    styles = (PromptStyle(name=HEADLINE), PromptStyle(name="none", kind="none"))
    identity = {"styles": {V7W: styles}}
    good, bad = answers(100), answers(100, lost=60)
    control = [each.model_copy(update={"style": "none"}) for each in bad]
    base = run(tmp_path / "a", good + [e.model_copy(update={"value": 1.0}) for e in control],
               identity=identity)  # fmt: skip
    new = run(tmp_path / "b", good + control, identity=identity)
    found = gate(base, new, Thresholds())
    assert [(row.style, row.failed) for row in found.rows] == [(HEADLINE, False)]


def test_a_headline_that_shows_no_marks_is_no_row(tmp_path: Path) -> None:
    styles = {V7W: (PromptStyle(name="none", kind="none"),)}
    scores = [each.model_copy(update={"style": "none"}) for each in answers(20)]
    folder = run(tmp_path / "a", scores, task={"headline": "none"}, identity={"styles": styles})
    with pytest.raises(RunError, match="no task has a headline style with marks"):
        gate(folder, folder, Thresholds())


def test_other_headline_styles_are_refused(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(20))
    scores = [each.model_copy(update={"style": POINT}) for each in answers(20)]
    identity = {"styles": {V7W: (PromptStyle(name=POINT),)}}
    new = run(tmp_path / "b", scores, task={"headline": POINT}, identity=identity)
    with pytest.raises(RunError, match=f"is {HEADLINE} in one, {POINT} in the other"):
        gate(base, new, Thresholds())


def test_a_rise_of_errors_is_a_finding_of_its_own(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(100))
    new = run(tmp_path / "b", answers(100, errors=5))
    found = gate(base, new, Thresholds())
    assert not found.rows[0].failed
    assert found.rows[0].n == 95
    assert found.failures == [
        f"{V7W}: errors rose from 0 to 5 of 100 samples; allowed: a rise by 1.0 %"
    ]
    few = gate(base, new, Thresholds(max_errors=0.05))
    assert few.failures == []
    assert any("rose from 0 to 5" in finding.message for finding in few.findings)
    assert gate(new, base, Thresholds()).failures == []


def test_unparsed_answers_count_as_wrong_and_are_named_besides(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(200))
    new = run(tmp_path / "b", answers(200, unparsed=20))
    found = gate(base, new, Thresholds())
    assert found.rows[0].failed
    [finding] = [each for each in found.findings if each.about == "unparsed"]
    assert finding.message == "unparsed rose from 0 to 20 of 200 samples"
    assert not finding.failed
    strict = gate(base, new, Thresholds(max_unparsed=0.05))
    assert any(each.failed for each in strict.findings if each.about == "unparsed")


def test_a_run_that_was_extended_is_tested_on_what_both_have_and_that_is_told(
    tmp_path: Path,
) -> None:
    few = run(tmp_path / "a", answers(200))
    scores = answers(240, lost=20) + answers(200, task=VCR)
    more = run(tmp_path / "b", scores, BOTH, model="new")
    found = gate(few, more, Thresholds())
    [row] = found.rows
    assert (row.n, row.failed) == (200, True)
    assert found.left_out == (
        f"{V7W}: on the 200 samples that both runs have; 40 more are in {more} alone",
    )
    assert found.new_only == (VCR,)
    assert found.untested == []
    text = summary(found)
    assert f"- {V7W}: on the 200 samples that both runs have; 40 more" in text
    assert f"- {VCR}: in {more} alone, and not compared" in text
    assert "on the 200 samples that both" in junit(found)
    back = gate(more, few, Thresholds())
    assert back.failures == []
    assert verdict(back) == (
        "gate: passed: none of 1 row got worse · on the samples that both runs have · not tested: "
        f"{VCR}"
    )
    strict = gate(more, few, Thresholds(detect=0.1), require_power=True)
    assert strict.failures == [f"{VCR}: not tested: {few} has no such task"]


def test_what_is_the_same_for_several_rows_is_told_once(tmp_path: Path) -> None:
    scores = answers(8) + answers(9, task=VCR)
    folder = run(tmp_path / "a", scores, BOTH)
    found = gate(folder, folder, Thresholds(), require_power=True)
    [power] = found.failures
    assert power.startswith("the smallest drop, in points, that a row would show with 80 % power")
    assert f"(wanted: 2.0): {V7W} 59.4, {VCR} 54.4" in power
    [_, (word, few)] = finding_lines(found)
    assert word == "warning"
    assert few.startswith("too few images, ")
    assert few.endswith(f": {V7W} 8, {VCR} 9")
    assert junit(found).count("the smallest drop") == 2


def test_too_little_power_is_a_warning_or_a_failure(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", answers(250))
    found = gate(folder, folder, Thresholds())
    assert found.rows[0].smallest_drop == Design(250, 0.1).smallest_drop()
    [finding] = found.findings
    assert "power is 5.0 points; wanted: 2.0" in finding.message
    assert found.failures == []
    required = gate(folder, folder, Thresholds(), require_power=True)
    assert [each.about for each in required.findings if each.failed] == ["power"]
    enough = gate(folder, folder, Thresholds(detect=0.06), require_power=True)
    assert enough.findings == ()
    own = Thresholds(tasks={V7W: TaskThresholds(detect=0.06)})
    assert gate(folder, folder, own, require_power=True).findings == ()


def test_samples_of_an_image_that_change_together_find_less(tmp_path: Path) -> None:
    def scores(images: int, lost: int) -> list[ScoreLine]:
        return [
            line(V7W, f"q{i}", float(i // 4 >= lost), group=f"image{i // 4}")
            for i in range(4 * images)
        ]

    base = run(tmp_path / "a", scores(100, 10))
    new = run(tmp_path / "b", scores(100, 12))
    [row] = gate(base, new, Thresholds(max_drop=0.5)).rows
    # 400 answers on 100 images tell what 100 answers would.
    assert row.smallest_drop == pytest.approx(Design(100, 0.1).smallest_drop(), rel=0.02)
    [itself] = gate(base, base, Thresholds()).rows
    assert itself.smallest_drop == Design(400, 0.1).smallest_drop()


def test_few_images_are_named(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", lines(V7W, [1.0] * 18))
    assert "9 images" in gate(folder, folder, Thresholds(detect=0.9)).findings[0].message


def test_few_images_with_most_samples_are_named(tmp_path: Path) -> None:
    scores = [line(V7W, f"q{i}", 1.0, group=f"image{min(i, 20)}") for i in range(60)]
    folder = run(tmp_path / "a", scores)
    [finding] = gate(folder, folder, Thresholds(detect=0.9)).findings
    assert finding.message.startswith("21 images, few of which hold most samples: the interval")


def test_the_suite_says_what_is_to_be_found(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", answers(250), identity={"suite": "regression"})
    found = gate(folder, folder, Thresholds())
    assert found.rows[0].smallest_drop == Design(250, 0.15).smallest_drop()
    given = gate(folder, folder, Thresholds(discordance=0.3))
    assert given.rows[0].smallest_drop == Design(250, 0.3).smallest_drop()


def test_the_suite_regression_has_the_power_that_its_file_states() -> None:
    suite = load_suite("regression")
    goal = suite.power
    assert goal is not None
    assert (goal.drop, goal.drop) == (DETECT, 0.02)
    needed = Design(0, goal.discordance, goal.design_effect).samples_for(goal.drop)
    assert set(suite.limits) == set(suite.tasks)
    assert all(needed <= limit <= 1.1 * needed for limit in suite.limits.values())


# --- rounding


def certificate(n: int, n_rescored: int, n_flipped: int | None = None) -> CertificateRef:
    return CertificateRef(
        path="c.json",
        sha256="d" * 64,
        device="cuda:0",
        batch_size=1,
        n=n,
        n_flipped=n_rescored if n_flipped is None else n_flipped,
        n_rescored=n_rescored,
    )


def test_certificates_say_how_many_lost_answers_are_owed_to_rounding(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(400), certificate=certificate(200, 2))
    new = run(tmp_path / "b", answers(400, lost=40), certificate=certificate(100, 3, 5))
    found = gate(base, new, Thresholds())
    [row] = found.rows
    assert row.rounding_lost == pytest.approx(400 * (0.01 + 0.03) / 2)
    assert row.rounding_worst == pytest.approx(
        400 * (share_bound(2, 200, 0.05) + share_bound(3, 100, 0.05))
    )
    assert found.rounding == (
        f"{base}: float16, changed 2 of 200 answers and 2 scores (bound 3.1 %) in c.json",
        f"{new}: float16, changed 5 of 100 answers and 3 scores (bound 7.6 %) in c.json",
        f"{V7W}: 40 lost; rounding is expected to lose about 8.0 and to gain as many, and could "
        "lose 43 at worst: it could make this drop alone (`--rounding widen` allows for it)",
    )
    without = gate(run(tmp_path / "c", answers(400)), new, Thresholds()).rows[0]
    told = {"rounding_lost": None, "rounding_worst": None}
    assert row.model_copy(update=told) == without
    assert "- rounding: " in summary(found)


def test_the_allowed_drop_is_widened_by_both_bounds_where_asked(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(400), certificate=certificate(1000, 2))
    new = run(tmp_path / "b", answers(400, lost=16), certificate=certificate(500, 3))
    assert gate(base, new, Thresholds()).rows[0].failed
    widened = gate(base, new, Thresholds(rounding="widen", max_drop=0.001))
    [row] = widened.rows
    bounds = share_bound(2, 1000, 0.05) + share_bound(3, 500, 0.05)
    assert row.max_drop == pytest.approx(0.001 + bounds)
    assert row.failed is (row.upper < -row.max_drop) is False
    assert widened.failures == []
    worse = run(tmp_path / "c", answers(400, lost=80), certificate=certificate(500, 3))
    assert gate(base, worse, Thresholds(rounding="widen")).rows[0].failed
    assert not any("alone" in line for line in gate(base, worse, Thresholds()).rounding)


def test_flips_that_gain_as_often_as_they_lose_are_no_regression(tmp_path: Path) -> None:
    rng = random.Random(5)
    alarms, runs = 0, 80
    for _ in range(runs):
        truth = [float(rng.random() < 0.7) for _ in range(150)]
        folders = []
        for name in ("a", "b"):
            rounded = [1 - value if rng.random() < 0.06 else value for value in truth]
            scores = [line(V7W, f"q{i}", value) for i, value in enumerate(rounded)]
            folders.append(run(tmp_path / name, scores, certificate=certificate(200, 12)))
        alarms += bool(gate(folders[0], folders[1], Thresholds()).failures)
    assert alarms / runs < 0.05 + 4 * (0.05 * 0.95 / runs) ** 0.5


def test_without_a_certificate_rounding_is_said_not_to_be_known(tmp_path: Path) -> None:
    half = run(tmp_path / "a", answers(200))
    found = gate(half, half, Thresholds())
    assert found.rounding == (
        f"{half}: float16, not known: no certificate (`vipbench certify` makes one)",
    )
    assert found.rows[0].rounding_lost is None
    with pytest.raises(
        RunError, match=r"rounding: widen needs certificates: .*/a: float16, not known: no cert"
    ):
        gate(half, half, Thresholds(rounding="widen"))
    whole = run(tmp_path / "b", answers(200), settings={"dtype": "float32"})
    exact = gate(whole, whole, Thresholds(rounding="widen"))
    assert exact.rounding == ()
    assert (exact.rows[0].rounding_lost, exact.rows[0].max_drop) == (0, 0)


def test_float32_that_is_certified_to_flip_nothing_widens_nothing(tmp_path: Path) -> None:
    fields: dict[str, Any] = {"settings": {"dtype": "float32"}, "certificate": certificate(200, 0)}
    folder = run(tmp_path / "a", answers(200), **fields)
    assert gate(folder, folder, Thresholds(rounding="widen")).rows[0].max_drop == 0
    fields = {"settings": {"dtype": "float32"}, "certificate": certificate(200, 0, 1)}
    other = run(tmp_path / "b", answers(200), **fields)
    widened = gate(folder, other, Thresholds(rounding="widen")).rows[0].max_drop
    assert widened == pytest.approx(share_bound(0, 200, 0.05))


def test_a_certificate_made_after_the_run_is_found_by_its_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = run(tmp_path / "a", answers(200), device="cuda:1", batch_size=32)
    told = certificate(200, 4).model_dump(exclude={"path", "sha256"})
    write_json(CERTIFICATES / f"{'b' * 64}.json", told)
    [words, row] = gate(folder, folder, Thresholds()).rounding
    path = CERTIFICATES / f"{'b' * 64}.json"
    assert words.endswith(f"in {path}, in batches of 1 request, not 32 requests")
    assert "about 4.0" in row
    elsewhere = run(tmp_path / "b", answers(200), device="cpu")
    assert "not known" in gate(elsewhere, elsewhere, Thresholds()).rounding[0]


# --- thresholds


def test_thresholds_are_read_and_hold_for_all_or_one_task(tmp_path: Path) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(f"alpha: 0.01\nmax_drop: 0.02\ntasks:\n  {V7W}: {{max_drop: 0.2}}\n")
    found = read_thresholds(path)
    assert (found.alpha, found.max_drop_of(V7W), found.max_drop_of(VCR)) == (0.01, 0.2, 0.02)
    assert read_thresholds(None) == Thresholds()
    base = run(tmp_path / "a", answers(200))
    new = run(tmp_path / "b", answers(200, lost=20))
    assert gate(base, new, found).failures == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("max_dorp: 0.1", "unknown key 'max_dorp' · did you mean 'max_drop'"),
        ("max_drop: 2", "max_drop = 2 · expected a number below 1"),
        ("max_drop: -0.1\nalpha: 0", "alpha = 0 · expected .* and .*max_drop = -0.1 · expected"),
        ("tasks: {x: {max_drp: 1}}", "tasks.x: .*unknown key 'max_drp' · did you mean 'max_drop'"),
        ("tasks: [x]", "tasks = "),
        ("rounding: wide", "rounding = 'wide' · expected 'report' or 'widen'"),
        ("tasks: {x: 0.1}", "tasks.x = 0.1"),
        ("max_drop: [", "not plain YAML"),
    ],
)
def test_mistakes_in_thresholds_are_named(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(text)
    with pytest.raises(TaskError, match=f"t.yaml.*{reason}"):
        read_thresholds(path)


def test_thresholds_for_what_is_no_row_are_refused(tmp_path: Path) -> None:
    folder = run(tmp_path / "a", answers(20))
    thresholds = Thresholds(tasks={"visual7w_pointin": TaskThresholds(max_drop=0.1)})
    with pytest.raises(RunError, match=f"is not a row of this gate · did you mean '{V7W}'"):
        gate(folder, folder, thresholds)


def test_whatever_is_not_the_checkpoint_fails_before_the_rows(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(200))
    new = run(tmp_path / "b", answers(200), settings={"prompt_format": "hf", "dtype": "float32"})
    found = gate(base, new, Thresholds())
    assert (found.rows, found.findings) == ((), ())
    assert found.failures == [
        "differs: prompt_format: llava_v1 → hf",
        "differs: dtype: float16 → float32",
    ]
    assert "--allow-difference prompt_format --allow-difference dtype" in verdict(found)
    assert gate(base, new, Thresholds(), allow=["dtype"]).failures == found.failures[:1]
    allowed = gate(base, new, Thresholds(), allow=["dtype", "prompt_format"])
    assert (len(allowed.rows), allowed.failures) == (1, [])
    assert [found.name for found in allowed.apart.differences] == ["prompt_format", "dtype"]


def test_another_metric_or_version_is_another_rule(tmp_path: Path) -> None:
    base = run(tmp_path / "a", answers(20))
    scores = [each.model_copy(update={"metric": "exact_proxy"}) for each in answers(20)]
    for name, new in (
        ("version", run(tmp_path / "version", answers(20), task={"version": 9})),
        ("metric", run(tmp_path / "metric", scores)),
    ):
        [failure] = gate(base, new, Thresholds()).failures
        assert failure.startswith("differs: rule: text_match of version 1 → ")
        with pytest.raises(RunError, match=f"cannot be paired.*{name}"):
            gate(base, new, Thresholds(), allow=["rule"])


def test_a_share_of_changed_answers_is_at_most_one() -> None:
    assert Thresholds(discordance=1).discordance == 1
    with pytest.raises(ValidationError):
        Thresholds(discordance=1.5)
