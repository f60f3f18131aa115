"""`vipbench report` as a user meets it."""

from pathlib import Path

import pytest

from tests.cli.conftest import Vipbench
from tests.html.made import Item, write_image, write_run
from tests.runs import bind_again


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a finished run of two samples whose pictures may not travel."""
    write_image(tmp_path / "images")
    items = [Item(), Item(id="q2", shape="ellipse", answer="B")]
    images = tmp_path / "images"
    return bind_again(write_run(tmp_path / "made", items, images=images, redistribute=False))


def test_report_writes_the_page_and_prints_its_place(vipbench: Vipbench, made: Path) -> None:
    code, out, err = vipbench("report", made, "-o", "site")
    assert (code, out) == (0, "site/report.html\n")
    assert err == (
        "pictures: 2 of 2 are left out, since their tasks may not be redistributed · "
        "--embed-images shows them\n"
    )
    assert Path("site/report.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")


def test_report_puts_pictures_beside_the_page(vipbench: Vipbench, made: Path) -> None:
    arguments = ("report", made, "-o", "site", "--embed-images")
    assert vipbench(*arguments).err == ""
    assert not list(Path("site").rglob("*.webp"))
    assert vipbench(*arguments, "--max-inline", "1").code == 0
    assert len(list(Path("site/report_files/pictures").glob("*.webp"))) == 2


def test_report_refuses_what_is_no_run(vipbench: Vipbench) -> None:
    code, out, err = vipbench("report", "nowhere", "-o", "site")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert "nowhere" in err
    assert err.count("\n") == 1
    assert not Path("site").exists()


def test_report_needs_a_folder_to_write(vipbench: Vipbench, made: Path) -> None:
    code, _, err = vipbench("report", made)
    assert code == 2
    assert "'-o'" in err
