"""Where there is no chromium, the summary says so, and nothing counts as passed or skipped."""

import os
import subprocess
import sys
from pathlib import Path


def collected(chromium: str) -> str:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", str(Path(__file__).parent)]
    environment = os.environ | {"VIPBENCH_CHROMIUM": chromium}
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout


def test_without_a_browser_the_summary_says_so() -> None:
    found = collected("/nowhere/chromium")
    assert "browser tests NOT run: no chromium" in found
    assert "test_browser.py" not in found
    assert "test_page.py" in found


def test_with_a_browser_the_tests_are_there() -> None:
    found = collected(sys.executable)  # any program that is there
    assert "NOT run" not in found
    assert "test_browser.py" in found
