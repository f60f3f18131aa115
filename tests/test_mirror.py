"""The tests mirror the package: each module and each reader has its file of tests."""

from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent
ELSEWHERE = {
    "vipbench/__init__.py": "tests/test_package.py",
    "vipbench/_version.py": "tests/test_package.py",
    "vipbench/analysis/__init__.py": "tests/test_package.py",
    "vipbench/analysis/reproduce/__init__.py": "tests/test_package.py",
    "vipbench/analysis/reproduce/protocol.py": "tests/analysis/reproduce/test_verdicts.py",
    "vipbench/analysis/reproduce/records.py": "tests/analysis/reproduce/test_verdicts.py",
    "vipbench/analysis/reproduce/results.py": "tests/analysis/reproduce/test_verdicts.py",
    "vipbench/analysis/reproduce/text.py": "tests/analysis/reproduce/test_verdicts.py",
    "vipbench/analysis/sweep/__init__.py": "tests/test_package.py",
    "vipbench/analysis/sweep/effects.py": "tests/analysis/sweep/test_styles.py",
    "vipbench/analysis/sweep/ranking.py": "tests/analysis/sweep/test_styles.py",
    "vipbench/analysis/sweep/scores.py": "tests/analysis/sweep/test_styles.py",
    "vipbench/analysis/sweep/text.py": "tests/analysis/sweep/test_styles.py",
    "vipbench/bench/__init__.py": "tests/test_bench.py",
    "vipbench/bench/clocks.py": "tests/test_bench.py",
    "vipbench/bench/driver.py": "tests/test_bench.py",
    "vipbench/bench/floor.py": "tests/test_bench.py",
    "vipbench/bench/models.py": "tests/test_bench.py",
    "vipbench/bench/records.py": "tests/test_bench.py",
    "vipbench/bench/report.py": "tests/test_bench.py",
    "vipbench/bench/requests.py": "tests/test_bench.py",
    "vipbench/bench/rounds.py": "tests/test_bench.py",
    "vipbench/bench/settings.py": "tests/test_bench.py",
    "vipbench/bench/way_transformers.py": "tests/test_bench.py",
    "vipbench/bench/way_vipbench.py": "tests/test_bench.py",
    "vipbench/bench/ways.py": "tests/test_bench.py",
    "vipbench/cli/app.py": "tests/cli/test_cli.py",
    "vipbench/cli/check.py": "tests/cli/test_cli.py",
    "vipbench/cli/demo.py": "tests/cli/test_cli.py",
    "vipbench/cli/export.py": "tests/cli/test_import_.py",
    "vipbench/cli/gate.py": "tests/cli/test_compare.py",
    "vipbench/cli/leaderboard.py": "tests/cli/test_cli.py",
    "vipbench/cli/ls.py": "tests/cli/test_cli.py",
    "vipbench/cli/options.py": "tests/cli/test_cli.py",
    "vipbench/cli/power.py": "tests/cli/test_compare.py",
    "vipbench/cli/printing.py": "tests/cli/test_cli.py",
    "vipbench/cli/render.py": "tests/cli/test_cli.py",
    "vipbench/cli/run.py": "tests/cli/test_cli.py",
    "vipbench/cli/score.py": "tests/cli/test_cli.py",
    "vipbench/cli/show.py": "tests/cli/test_cli.py",
    "vipbench/data/__init__.py": "tests/test_package.py",
    "vipbench/data/cache.py": "tests/data_package/test_locate.py",
    "vipbench/data/fetching/__init__.py": "tests/test_package.py",
    "vipbench/data/fetching/archives.py": "tests/data_package/fetching/test_archives.py",
    "vipbench/data/fetching/fetch.py": "tests/data_package/fetching/test_fetch.py",
    "vipbench/data/fetching/hub.py": "tests/data_package/fetching/test_hub.py",
    "vipbench/data/fetching/transfer.py": "tests/data_package/fetching/test_transfer.py",
    "vipbench/data/hub_rows.py": "tests/data_package/test_locate.py",
    "vipbench/data/locate.py": "tests/data_package/test_locate.py",
    "vipbench/data/synthetic.py": "tests/data_package/test_locate.py",
    "vipbench/data/tasks.py": "tests/data_package/test_tasks.py",
    "vipbench/endpoints/__init__.py": "tests/test_package.py",
    "vipbench/engine/__init__.py": "tests/test_package.py",
    "vipbench/errors.py": "tests/cli/test_cli.py",
    "vipbench/exchange/__init__.py": "tests/test_package.py",
    "vipbench/exchange/export.py": "tests/cli/test_import_.py",
    "vipbench/geometry.py": "tests/test_package.py",
    "vipbench/html/__init__.py": "tests/html/test_page.py",
    "vipbench/images/__init__.py": "tests/test_package.py",
    "vipbench/images/decode.py": "tests/data_package/test_locate.py",
    "vipbench/judge/__init__.py": "tests/test_package.py",
    "vipbench/mentions.py": "tests/data_package/test_tasks.py",
    "vipbench/prompts/__init__.py": "tests/test_package.py",
    "vipbench/report/__init__.py": "tests/test_package.py",
    "vipbench/report/terminal.py": "tests/report/test_leaderboard.py",
    "vipbench/report/text.py": "tests/analysis/test_compare.py",
    "vipbench/run/__init__.py": "tests/test_package.py",
    "vipbench/run/ask.py": "tests/run/test_loop.py",
    "vipbench/run/describe.py": "tests/run/test_loop.py",
    "vipbench/run/dry_run.py": "tests/run/test_loop.py",
    "vipbench/run/model.py": "tests/run/test_loop.py",
    "vipbench/run/prepare.py": "tests/run/test_loop.py",
    "vipbench/run/resume.py": "tests/run/test_loop.py",
    "vipbench/run/score.py": "tests/run/test_loop.py",
    "vipbench/run/seeds.py": "tests/run/test_loop.py",
    "vipbench/run/settings.py": "tests/run/test_loop.py",
    "vipbench/runfolder/__init__.py": "tests/test_package.py",
    "vipbench/runfolder/summary.py": "tests/report/test_leaderboard.py",
    "vipbench/runners/checkpoints/__init__.py": "tests/test_package.py",
    "vipbench/runners/checkpoints/loading.py": "tests/runners/vipllava/test_runner.py",
    "vipbench/runners/contract.py": "tests/runners/test_runners.py",
    "vipbench/runners/conversion/__init__.py": "tests/test_package.py",
    "vipbench/runners/conversion/llama_tokenizer.py": "tests/runners/conversion/test_convert.py",
    "vipbench/runners/conversion/official.py": "tests/runners/conversion/test_convert.py",
    "vipbench/runners/conversion/weights.py": "tests/runners/conversion/test_convert.py",
    "vipbench/runners/registry.py": "tests/runners/test_runners.py",
    "vipbench/runners/vipllava/__init__.py": "tests/test_package.py",
    "vipbench/runners/vipllava/fast.py": "tests/runners/vipllava/test_runner.py",
    "vipbench/runners/vipllava/loading.py": "tests/runners/vipllava/test_runner.py",
    "vipbench/runners/vipllava/net.py": "tests/runners/vipllava/test_runner.py",
    "vipbench/runners/vipllava/reference.py": "tests/runners/vipllava/test_runner.py",
    "vipbench/runners/vipllava/tokens.py": "tests/runners/vipllava/test_runner.py",
    "vipbench/schema.py": "tests/data_package/test_tasks.py",
    "vipbench/scoring/__init__.py": "tests/test_package.py",
    "vipbench/scoring/summary.py": "tests/report/test_leaderboard.py",
    "vipbench/trials/__init__.py": "tests/test_package.py",
    "vipbench/trials/selection.py": "tests/trials/test_make.py",
    "vipbench/validation.py": "tests/data_package/test_tasks.py",
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
    if below.name == "__init__.py":
        return Path("tests", *below.parts[:-1], f"test_{below.parent.name}.py")
    return Path("tests", *below.parts[:-1], f"test_{below.name}")


@pytest.mark.parametrize("source", sources(), ids=str)
def test_has_a_file_of_tests(source: Path) -> None:
    path = REPO / expected(source)
    assert path.exists(), f"{source} has no tests in {expected(source)}"
    assert "def test_" in path.read_text(encoding="utf-8")


def test_the_exceptions_are_still_needed() -> None:
    for source in ELSEWHERE:
        assert (REPO / source).exists()
