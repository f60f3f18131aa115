"""Plots as files: they say what they show, and take any label."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.html.made import Item, Page, write_run
from vipbench.html import write_report
from vipbench.html.dataset import collect
from vipbench.html.plots import write_plots
from vipbench.html.runs import read_runs, task_keys
from vipbench.html.tables import task_part


def svg_of(out: Path, name: str, *folders: Path) -> str:
    runs = read_runs(folders)
    [key] = task_keys(runs)
    part = task_part(runs, collect(runs).scores, key, key.name, "slug")
    plots = write_plots([part], runs, out)
    assert all((out / path).stat().st_size > 1000 for path in plots[name].files)
    path = next(path for path in plots[name].files if path.endswith(".svg"))
    return (out / path).read_text(encoding="utf-8")


def test_the_heat_map_has_its_numbers_and_names(tmp_path: Path, images: Path) -> None:
    items = [
        Item(id="1", shape="ellipse", color="red"),
        Item(id="2", shape="ellipse", color="red", answer="B"),
        Item(id="3", shape="arrow", color="blue"),
    ]
    run = write_run(tmp_path / "run", items, images=images, synthetic=True)
    svg = svg_of(tmp_path, "marks-slug", run)
    for text in ("ellipse", "arrow", "red", "blue", ">50<", "(n 2)", "synthetic data"):
        assert text in svg
    assert "<dc:title>Accuracy by shape and colour, own</dc:title>" in svg


def test_labels_are_drawn_as_they_stand(tmp_path: Path, images: Path) -> None:
    label = r"$\frac{1}{0}$ <b>&amp;\u202e"
    run = write_run(tmp_path / "run", [Item()], images=images, model=label, task="$x_1$")
    svg = svg_of(tmp_path, "styles-slug", run)
    assert "$x_1$" in svg
    assert r"$\frac{1}{0}$ &lt;b&gt;" in svg


def test_no_date_is_in_a_plot(tmp_path: Path, run: Path) -> None:
    assert "<dc:date>" not in svg_of(tmp_path, "styles-slug", run)


def test_plots_are_files_that_the_page_links(tmp_path: Path, run: Path, images: Path) -> None:
    other = write_run(tmp_path / "b", [Item(answer="B")], images=images, model="b")
    page = Page(write_report([run, other], tmp_path / "out"))
    links = {link["href"] for link in page.named("a") if "download" in link}
    names = {"forest", "marks-own", "styles-own"}
    assert links == {f"report_files/plots/{n}.{kind}" for n in names for kind in ("png", "svg")}
    for link in links:
        content = (tmp_path / "out" / link).read_bytes()
        assert content.startswith(b"\x89PNG" if link.endswith("png") else b"<?xml")


def test_equal_runs_give_equal_drawings(tmp_path: Path, images: Path) -> None:
    items = [
        Item(id="1", shape="ellipse", color="red"),
        Item(id="2", shape="ellipse", color="red", answer="B"),
        Item(id="3", shape="arrow", color="blue"),
    ]
    first = write_run(tmp_path / "a", items, images=images)
    second = write_run(tmp_path / "b", items[::-1], images=images, model="b")
    write = "import sys; from pathlib import Path; from vipbench.html import write_report\n"
    write += "*runs, out = map(Path, sys.argv[1:]); write_report(runs, out)"
    drawings = []
    for seed in ("1", "2"):  # of hashes, in a process of its own each
        out = tmp_path / seed
        command = [sys.executable, "-c", write, str(first), str(second), str(out)]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONHASHSEED": seed})
        plots = out / "report_files" / "plots"
        drawings.append({path.name: path.read_bytes() for path in plots.iterdir()})
    names = {"forest", "marks-own", "styles-own"}
    assert drawings[0].keys() == {f"{n}.{kind}" for n in names for kind in ("png", "svg")}
    assert drawings[0] == drawings[1]
    assert all(b"<dc:date>" not in drawing for drawing in drawings[0].values())


@pytest.mark.usefixtures("no_rendering")
def test_plots_of_an_earlier_report_do_not_stay(tmp_path: Path, run: Path, images: Path) -> None:
    other = write_run(tmp_path / "b", [Item()], images=images, task="earlier")
    write_report([other], tmp_path / "out")
    plots = tmp_path / "out" / "report_files" / "plots"
    (plots / "mine.png").write_bytes(b"not ours")
    write_report([run], tmp_path / "out")
    names = sorted(path.name for path in plots.iterdir())
    assert names == [
        "marks-own.png",
        "marks-own.svg",
        "mine.png",
        "styles-own.png",
        "styles-own.svg",
    ]
