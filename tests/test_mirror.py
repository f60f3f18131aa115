"""The tests mirror the package: each module and each reader has its file of tests."""

from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent
ELSEWHERE = {
    "vipbench/_version.py": "tests/test_package.py",
    "vipbench/analysis/reproduce/records.py": "tests/analysis/reproduce/test_verdicts.py",
    "vipbench/bench/records.py": "tests/bench/test_ways.py",
    "vipbench/bench/session.py": "tests/bench/test_driver.py",
    "vipbench/bench/settings.py": "tests/bench/test_driver.py",
    "vipbench/bench/way.py": "tests/bench/test_ways.py",
    "vipbench/bench/way_transformers.py": "tests/bench/test_ways.py",
    "vipbench/engine/in_process.py": "tests/engine/test_batches.py",
    "vipbench/endpoints/asking.py": "tests/judge/test_grading.py",
    "vipbench/endpoints/estimate.py": "tests/judge/test_estimate.py",
    "vipbench/extractor/extracting.py": "tests/extractor/test_runs.py",
    "vipbench/extractor/ledger.py": "tests/extractor/test_runs.py",
    "vipbench/extractor/options.py": "tests/cli/test_extractor.py",
    "vipbench/exchange/export.py": "tests/cli/test_import_.py",
    "vipbench/data/suites.py": "tests/data_package/test_tasks.py",
    "vipbench/geometry.py": "tests/test_package.py",
    "vipbench/images/shapes/draws.py": "tests/images/test_draw.py",
    "vipbench/images/shapes/freehand.py": "tests/images/test_draw.py",
    "vipbench/images/shapes/masks.py": "tests/images/test_draw.py",
    "vipbench/images/shapes/outlines.py": "tests/images/test_draw.py",
    "vipbench/images/shapes/spec.py": "tests/images/shapes/test_registry.py",
    "vipbench/images/shapes/strokes.py": "tests/images/test_draw.py",
    "vipbench/kit/members.py": "tests/kit/test_pack.py",
    "vipbench/kit/settings.py": "tests/kit/test_plan.py",
    "vipbench/option.py": "tests/cli/test_options.py",
    "vipbench/planning/records.py": "tests/planning/test_plan.py",
    "vipbench/prompts/colors.py": "tests/prompts/test_styles.py",
    "vipbench/prompts/words.py": "tests/prompts/test_wording.py",
    "vipbench/runfolder/summary.py": "tests/report/test_leaderboard.py",
    "vipbench/runners/checkpoints/spec.py": "tests/runners/test_spec.py",
    "vipbench/runners/contract.py": "tests/runners/test_runners.py",
    "vipbench/runners/conversion/llama_tokenizer.py": "tests/runners/conversion/test_convert.py",
    "vipbench/runners/conversion/official.py": "tests/runners/conversion/test_convert.py",
    "vipbench/runners/conversion/weights.py": "tests/runners/conversion/test_convert.py",
    "vipbench/runners/hf/spec.py": "tests/runners/test_spec.py",
    "vipbench/runners/memory.py": "tests/runners/vipllava/test_runner.py",
    "vipbench/runners/plugin.py": "tests/runners/test_runners.py",
    "vipbench/runners/registry.py": "tests/runners/test_runners.py",
    "vipbench/runners/vipllava/spec.py": "tests/runners/test_spec.py",
    "vipbench/sequential/asking.py": "tests/sequential/test_gate.py",
    "vipbench/sequential/figure.py": "tests/sequential/test_race_text.py",
    "vipbench/sequential/gate_text.py": "tests/cli/test_gate_sequential.py",
    "vipbench/trackers/contract.py": "tests/trackers/test_session.py",
    "vipbench/scoring/extraction/wording.py": "tests/scoring/extraction/test_stated.py",
}
"""Modules that are tested under another name, because others show them at work."""


def sources() -> list[Path]:
    found = [*(REPO / "vipbench").rglob("*.py"), *(REPO / "tasks").rglob("*.py")]
    return sorted(path.relative_to(REPO) for path in found)


def expected(source: Path) -> Path:
    """Return where the tests of a module stand: `vipbench/a/b.py` in `tests/a/test_b.py`."""
    if source.as_posix() in ELSEWHERE:
        return Path(ELSEWHERE[source.as_posix()])
    below = source.relative_to("vipbench") if source.parts[0] == "vipbench" else source
    if below.parts[0] == "data":  # tests/data holds fixtures
        below = Path("data_package", *below.parts[1:])
    if below.name == "__init__.py":  # a face: what it lends, and what it does not load
        return Path("tests/test_package.py")
    return Path("tests", *below.parts[:-1], f"test_{below.name}")


@pytest.mark.parametrize("source", sources(), ids=str)
def test_has_a_file_of_tests(source: Path) -> None:
    path = REPO / expected(source)
    assert path.exists(), f"{source} has no tests in {expected(source)}"
    assert "def test_" in path.read_text(encoding="utf-8")


def test_the_exceptions_are_still_needed() -> None:
    for source in ELSEWHERE:
        assert (REPO / source).exists()
