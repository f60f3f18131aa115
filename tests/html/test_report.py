"""The report as a whole: what it writes, says, and refuses."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.html.made import Item, Page, write_run
from vipbench import forked
from vipbench.console import Console
from vipbench.demo.embedded import sources
from vipbench.demo.generate import make
from vipbench.errors import RunError
from vipbench.html import report, write_report
from vipbench.run import loop as runs
from vipbench.run.settings import RunSettings


def test_the_same_runs_give_the_same_bytes(tmp_path: Path, run: Path) -> None:
    found = []
    for name in ("one", "two"):
        write_report([run], tmp_path / name, max_inline=1)
        files = sorted(path for path in (tmp_path / name).rglob("*") if path.is_file())
        found.append({path.relative_to(tmp_path / name): path.read_bytes() for path in files})
    assert found[0] == found[1]
    assert {path.suffix for path in found[0]} == {".html", ".webp", ".png", ".svg"}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks safely")
@pytest.mark.parametrize("dies", [False, True])
def test_a_copy_of_the_process_may_sum_up_the_styles(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, dies: bool
) -> None:
    taken: list[object] = []

    class Taken(forked.Forked[Any]):
        def take(self) -> Any:
            if dies:
                raise forked.Died
            taken.append(super().take())
            return taken[-1]

    expected = write_report([run], tmp_path / "one", plots=False).read_bytes()
    for name, value in (("FORKED_FROM", 1), ("can_fork", lambda: True), ("Forked", Taken)):
        monkeypatch.setattr(f"vipbench.html.report.{name}", value)
    page = write_report([run], tmp_path / "two", plots=False, may_fork=True)
    assert page.read_bytes() == expected
    assert len(taken) == (not dies)


@pytest.mark.usefixtures("no_rendering")
def test_no_path_of_this_machine_is_in_it(tmp_path: Path, run: Path) -> None:
    assert str(tmp_path) not in write_report([run], tmp_path).read_text(encoding="utf-8")


@pytest.mark.usefixtures("no_rendering")
def test_subsets_synthetic_data_and_missing_pictures_are_marked(
    tmp_path: Path, images: Path
) -> None:
    run = write_run(
        tmp_path / "run",
        [Item()],
        images=images,
        synthetic=True,
        n_samples=250,
    )
    (images / "1.png").unlink()
    said: list[str] = []
    page = Page(write_report([run], tmp_path, console=Console(said.append)))
    assert "1 of 250" in page.text
    assert "synthetic" in page.text
    assert "1 pictures could not be drawn" in page.text
    assert "There are no pictures in this report." in page.text
    assert len(said) == 1
    assert said[0].startswith("pictures: 1 of 1 cannot be drawn")


@pytest.mark.usefixtures("no_rendering")
def test_withheld_pictures_are_named(tmp_path: Path, images: Path) -> None:
    run = write_run(tmp_path / "run", [Item()], images=images, redistribute=False)
    said: list[str] = []
    page = Page(write_report([run], tmp_path, console=Console(said.append)))
    assert "1 pictures are left out" in page.text
    assert "--embed-images" in said[0]


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no run is given"):
        write_report([], tmp_path)


def test_a_file_in_the_way_is_refused(tmp_path: Path, run: Path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RunError, match="out"):
        write_report([run], tmp_path / "out", max_inline=0)


@pytest.mark.usefixtures("no_rendering")
def test_a_report_of_the_demo_suite(tmp_path: Path) -> None:
    data = sources(make(tmp_path / "data", 6))
    for runner in ("oracle", "constant"):
        runs.run(RunSettings(suite="demo", runner=runner, data=data, out=tmp_path / runner))
    page = Page(write_report([tmp_path / "oracle", tmp_path / "constant"], tmp_path / "out"))
    tasks = {task["label"] for task in page.data["tasks"]}
    assert tasks >= {"visual7w_pointing", "vcr_qa", "vcr_qar", "vcr_q2ar", "vip_bench_drawn"}
    assert len(page.data["pictures"]["source"]) > 50
    assert {"leaderboard", "differences", "controls", "marks", "styles", "samples", "runs"} <= {
        attributes.get("id") for attributes in page.named("section")
    }


def test_plots_of_many_runs_are_drawn_on_demand(
    tmp_path: Path, run: Path, monkeypatch: pytest.MonkeyPatch, no_rendering: None
) -> None:
    def plots(**options: Any) -> tuple[bool, str]:
        page = write_report([run], tmp_path / "out", **options)
        folder = tmp_path / "out" / "report_files" / "plots"
        return any(folder.glob("*")), page.read_text(encoding="utf-8")

    assert plots()[0]
    monkeypatch.setattr(report, "MOST_PLOTTED", 0)
    found, text = plots()
    assert not found  # those of the first report are gone
    assert "The plots of 1 runs are not written as files too; --plots writes them." in text
    assert plots(plots=True)[0]
    assert not plots(plots=False)[0]


def test_a_page_says_that_it_holds_a_part_of_the_samples(tmp_path: Path, run: Path) -> None:
    text = write_report([run], tmp_path / "out", plots=False, max_answers=0).read_text("utf-8")
    assert "Of 2 samples, 0 are in this page, drawn at random" in text
    assert "2 samples" in text
