"""Plots as files: they say what they show, and take any label."""

from pathlib import Path

from tests.html.made import Item, write_run
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
