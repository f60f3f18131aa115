"""The page as a file: everything inside, nothing that data could run, the same bytes every time."""

import base64
import hashlib
import re
from pathlib import Path

import pytest

from tests.html.made import Item, Page, write_image, write_run
from tests.runs import make_task, settings
from vipbench.analysis.sweep.overview import sweep
from vipbench.analysis.sweep.text import effect_text
from vipbench.html import write_report
from vipbench.run import loop as runs

# The page alone: what plots hold is told by tests/html/test_plots.py.
pytestmark = pytest.mark.usefixtures("no_rendering")

EVIL = (
    '"><script>alert(1)</script><img src=x onerror=alert(1)> javascript:alert(1) \u202e </script>'
)


def test_data_cannot_become_markup(tmp_path: Path, images: Path) -> None:
    item = Item(id=EVIL, question=EVIL, answer=EVIL, choices=(EVIL, "b", "c"))
    plain = write_run(tmp_path / "plain", [Item()], images=images)
    hostile = write_run(tmp_path / "evil", [item], images=images, model=EVIL, task=EVIL)
    expected = Page(write_report([plain], tmp_path / "out"))
    found = Page(write_report([hostile], tmp_path / "evil out"))
    assert len(found.named("script")) == 2
    assert found.named("img") == []
    known = {name for _, attributes in expected.elements for name in attributes}
    assert {name for _, attributes in found.elements for name in attributes} <= known
    assert all(link["href"].startswith(("#", "report_files/")) for link in found.named("a"))
    assert "\u202e" not in found.text
    assert EVIL.replace("\u202e", "⟨U+202E⟩") in found.text


def test_the_policy_allows_this_script_and_style_only(tmp_path: Path, run: Path) -> None:
    page = Page(write_report([run], tmp_path))
    [policy] = [m["content"] for m in page.named("meta") if "http-equiv" in m]
    for kind, text in (("script-src", page.scripts[1]), ("style-src", page.styles[0])):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind} 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert not any("style" in attributes for _, attributes in page.elements)
    assert not any(name.startswith("on") for _, attrs in page.elements for name in attrs)


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path, run: Path) -> None:
    path = write_report([run], tmp_path)
    assert not re.search(r"https?://|@import|url\(", path.read_text(encoding="utf-8"))


def test_tables_have_captions_and_scopes(tmp_path: Path, run: Path, images: Path) -> None:
    items = [Item(), Item(style="none", answer="B"), Item(style="other")]
    other = write_run(tmp_path / "b", items, images=images, model="b")
    page = Page(write_report([run, other], tmp_path))
    assert len(page.named("caption")) == len(page.named("table")) > 5
    assert all("scope" in attributes for attributes in page.named("th"))
    assert len(page.named("main")) == len(page.named("h1")) == len(page.named("nav")) == 1
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    anchors = {link["href"][1:] for link in page.named("a") if re.match(r"#\w", link["href"])}
    assert anchors <= set(ids)


def test_effects_and_ranks_of_a_sweep_are_on_the_page(tmp_path: Path) -> None:
    folder = make_task(tmp_path / "task", n=20)
    styles = "demo; rectangle,ellipse x red,blue"
    done = [
        runs.run(settings(folder, styles=styles, runner=runner, out=tmp_path / runner[-6:])).path
        for runner in ("tests.runs:Brightness", "tests.runs:Likely")
    ]
    page = Page(write_report(done, tmp_path / "report"))
    found = sweep(done)
    assert {attrs.get("href") for attrs in page.named("a")} >= {"#effects", "#ranking"}
    for row in (found.effects[0], found.effects[-1]):
        assert effect_text(row).replace("-", "\N{MINUS SIGN}") in page.text
    assert "shape x color" in page.text
    [first, second] = found.ranks
    assert (first.n_styles, first.tau, second.tau) == (5, first.tau, first.tau)
    assert f"{first.mean:.2f}" in page.text
    alone = Page(write_report(done[:1], tmp_path / "alone"))
    assert "Kendall's tau" in page.text
    assert "Kendall's tau" not in alone.text


def test_why_the_order_is_not_shown_is_on_the_page(tmp_path: Path) -> None:
    folder = make_task(tmp_path / "task", n=6)
    done = [runs.run(settings(folder, seed=seed, out=tmp_path / str(seed))).path for seed in (0, 1)]
    text = Page(write_report(done, tmp_path / "report")).text
    assert "the order of the models is not shown" in text
    assert "are both of model" in text


def test_no_path_of_the_machine_is_on_the_page(tmp_path: Path, images: Path) -> None:
    gone = tmp_path / "other images"
    write_image(gone)
    items = [Item(), Item(id="q2", answer=None), Item(id="q3")]
    first = write_run(tmp_path / "a", items, images=gone)
    second = write_run(tmp_path / "b", items[:2], images=images, model="b")
    (gone / "1.png").unlink()
    path = write_report([first, second], tmp_path / "out")
    page = Page(path)
    assert "model and b hold different samples" in page.text
    assert "1.png: does not exist" in page.text
    assert str(tmp_path) not in path.read_text(encoding="utf-8")


def test_names_are_escaped_and_may_be_broken_where_their_parts_end(
    tmp_path: Path, images: Path
) -> None:
    name = "rectangle:red&lt=3/a_b"
    run = write_run(tmp_path / "a", [Item()], images=images, model=name)
    text = write_report([run], tmp_path / "out").read_text(encoding="utf-8")
    shown = "<bdi>rectangle:<wbr>red&amp;lt=<wbr>3/<wbr>a_<wbr>b</bdi>"
    assert text.count(shown) > 2
    assert f"<bdi>{name}" not in text
