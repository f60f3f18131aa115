"""Browser tests run where there is a chromium; elsewhere the summary says that they did not."""

import os
import shutil
from pathlib import Path
from typing import IO

import pytest

from tests.html.made import Item, write_image, write_run

CHROMIUM = shutil.which(os.environ.get("VIPBENCH_CHROMIUM", "chromium"))
collect_ignore = [] if CHROMIUM else ["test_browser.py"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not CHROMIUM:
        terminalreporter.write_line("browser tests NOT run: no chromium", yellow=True)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Return a folder of one picture, `1.png`."""
    write_image(tmp_path / "images")
    return tmp_path / "images"


@pytest.fixture
def run(tmp_path: Path, images: Path) -> Path:
    """Return a run of two samples, one of them right."""
    items = [Item(), Item(id="q2", answer="B", shape="ellipse", color="blue")]
    return write_run(tmp_path / "run", items, images=images)


@pytest.fixture
def no_rendering(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make plots as ever, but save empty files."""
    without_rendering(monkeypatch)


def without_rendering(patch: pytest.MonkeyPatch) -> None:
    """Save empty files in place of plots: rendering takes most of the time of a report."""

    def save(figure: object, file: IO[bytes], **options: object) -> None:
        assert isinstance(options["format"], str)
        file.write(b"")

    patch.setattr("matplotlib.figure.Figure.savefig", save)
