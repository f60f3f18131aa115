"""The tests mirror the package: each module and each reader has its file of tests."""

from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent
ELSEWHERE = {
    "vipbench/__init__.py": "tests/test_package.py",
    "vipbench/schema.py": "tests/test_tasks.py",
    "vipbench/errors.py": "tests/cli/test_cli.py",
    "vipbench/settings.py": "tests/test_run.py",
    "vipbench/models.py": "tests/test_run.py",
    "vipbench/export.py": "tests/cli/test_exchange.py",
    "vipbench/html/__init__.py": "tests/html/test_page.py",
    "vipbench/runners/loading.py": "tests/runners/test_vipllava.py",
    **{
        f"vipbench/bench/{name}.py": "tests/test_bench.py"
        for name in ("__init__", "floor", "models", "records", "requests", "ways")
    },
    **{
        f"vipbench/runners/{name}.py": "tests/runners/test_convert.py"
        for name in ("official", "weights", "llama_tokenizer")
    },
    **{
        f"vipbench/cli/{name}.py": "tests/cli/test_cli.py"
        for name in ("app", "options", "words", "runs", "look", "listing", "demo")
    },
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
