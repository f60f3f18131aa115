"""The report in a real browser, opened from a file as a CI artefact is."""

import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Request, expect
from playwright.sync_api import sync_playwright as playwright

from tests.html.conftest import CHROMIUM, without_rendering
from tests.html.made import Item, write_image, write_run
from vipbench.html import write_report

EVIL = '"><script>document.title="hacked"</script><img src=x onerror="document.title=1">\u202eabc'
SHAPES = ("rectangle", "ellipse", "arrow")
COLORS = ("red", "blue")


class Troubles(list[str]):
    """What a page must not do: log errors, or ask a network for anything."""

    def log(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.append(f"console: {message.text}")

    def fail(self, error: Error) -> None:
        self.append(f"error: {error}")

    def ask(self, request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.append(f"request: {request.url}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright() as driver:
        arguments = ["--disable-gpu", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        found = driver.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield found
        found.close()


Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Open a page; at the end of the test, it has logged no error and asked no network."""
    troubles = Troubles()
    contexts = []

    def open_page(
        path: Path, address: str = "", *, width: int = 1280, height: int = 900, dark: bool = False
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", troubles.log)
        page.on("pageerror", troubles.fail)
        page.on("request", troubles.ask)
        page.goto(path.as_uri() + address)
        page.wait_for_selector("html.ready", state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report of two runs: every shape and colour, right, wrong, unparsed, errors, flips."""
    folder = tmp_path_factory.mktemp("report")
    write_image(folder / "images")
    base, new = [], []
    for number, (shape, color) in enumerate(itertools.product(SHAPES, COLORS)):
        question = f"What is the {'zebra' if number == 4 else 'thing'} with the {color} {shape}?"
        item = Item(id=f"q{number}", question=question, shape=shape, color=color)
        base.append(item)
        new.append(item._replace(answer=("A", "B", "C", "I cannot tell", None, "A")[number]))
        base.append(item._replace(style="other", answer="B"))
        base.append(item._replace(style="none", answer="B"))
    return write_report(
        [
            write_run(folder / "base", base, images=folder / "images", model="base"),
            write_run(folder / "new", new, images=folder / "images", model="new"),
        ],
        folder / "out",
    )


def count(page: Page) -> int:
    found = re.match(r"[\d,]+", page.inner_text("#count"))
    return int(found[0].replace(",", "")) if found else 0


def shown_id(page: Page) -> str:
    return page.inner_text("#detail h3")


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, 18),
        ({"style": "demo"}, 6),
        ({"style": "other"}, 6),
        ({"style": "demo", "shape": "ellipse"}, 2),
        ({"style": "demo", "shape": "ellipse", "color": "red"}, 1),
        ({"state": "unparsed"}, 1),
        ({"state": "error"}, 1),
        ({"style": "demo", "state": "right", "run": "2"}, 2),
        ({"style": "demo", "state": "wrong", "run": "2"}, 2),
        ({"style": "demo", "state": "wrong", "run": "1"}, 0),
        ({"run": "2"}, 6),
        ({"between": "differ"}, 3),
        ({"between": "1-2"}, 3),
        ({"between": "2-1"}, 0),
    ],
)
def test_filters(opened: Open, report: Path, filters: dict[str, str], expected: int) -> None:
    page = opened(report)
    for name, value in filters.items():
        page.select_option(f"#f-{name}", value)
    assert count(page) == expected
    assert page.locator("#list .row").count() == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zebra", 3),
        ("ZEBRA", 3),
        ("zebra cannot", 0),
        ("cannot tell", 1),
        ("q3", 3),
        ("shape=arrow color=red", 2),
        ("the model failed", 1),
    ],
)
def test_text_search(opened: Open, report: Path, text: str, expected: int) -> None:
    page = opened(report)
    page.fill("#f-q", text)
    assert count(page) == expected


def test_a_sample_shows_all_that_belongs_to_it(opened: Open, report: Path) -> None:
    page = opened(report, "#/in=own&under=demo&id=q1")
    detail = page.locator("#detail")
    assert shown_id(page) == "q1"
    assert detail.locator("pre.turn").inner_text() == (
        "What is the thing with the blue rectangle?\nA. a cat\nB. a dog\nC. a cup"
    )
    right = detail.locator(".options li.right")
    assert right.inner_text().split("\n")[0] == "A. a cat"
    assert "base" in right.inner_text()
    assert "new" not in right.inner_text()
    lines = detail.locator("table.answers tbody tr").all_inner_texts()
    assert [re.findall(r"base|new|right|wrong", line) for line in lines] == [
        ["base", "right"],
        ["new", "wrong"],
    ]
    picture = detail.locator("figure img")
    assert picture.evaluate("image => [image.naturalWidth, image.naturalHeight]") == [48, 48]
    assert picture.get_attribute("alt") == "Sample q1, marked: blue rectangle"


@pytest.mark.parametrize("width", [1280, 390])
def test_images_of_a_question_stand_side_by_side(
    opened: Open, tmp_path: Path, images: Path, width: int
) -> None:
    write_image(images, "2.png")
    items = [Item(others=("2.png",)), Item(id="q2"), Item(id="q3", others=("2.png",) * 4)]
    run = write_run(tmp_path / "run", items, images=images)
    page = opened(write_report([run], tmp_path / "out"), width=width)
    assert page.locator("#list .row .thumbs small").all_inner_texts() == ["+1", "+4"]
    said = page.locator("#list .row").first.get_attribute("aria-label")
    assert said == "q1, own, demo, red rectangle, 2 images; model: right"
    for number in range(3):
        page.locator("#list .row").nth(number).click()
        expect(page.locator("#detail h3")).to_have_text(f"q{number + 1}")
        figure = page.locator("#detail figure")
        n = (2, 1, 5)[number]
        assert figure.locator("img").count() == n
        labels = [f"image {k}" for k in range(1, n + 1)] if n > 1 else []
        assert figure.locator("small").all_inner_texts() == labels
        boxes = [each.bounding_box() for each in figure.locator("img").all()]
        assert all(box and 120 < box["width"] <= 336 for box in boxes)
        if boxes[1:]:
            first, second = boxes[:2]
            assert first
            assert second
            assert first["y"] == second["y"]
            assert first["x"] + first["width"] < second["x"]
        assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#list .row").nth(0).click()
    assert [each.get_attribute("alt") for each in page.locator("#detail img").all()][:2] == [
        "Sample q1, image 1 of 2", "Sample q1, image 2 of 2",
    ]  # fmt: skip
    name = page.locator("#detail figure").get_attribute("aria-label")
    assert name == "Sample q1, marked: red rectangle"
    assert "48 px each, " in page.locator("#detail figcaption").inner_text()


def test_a_sample_leads_to_its_other_styles(opened: Open, report: Path) -> None:
    page = opened(report, "#/style=demo&in=own&under=demo&id=q1")
    page.locator("table.elsewhere a", has_text="none").click()
    expect(page.locator("#detail .where")).to_contain_text("none")
    assert page.locator("#detail figure img").count() == 1
    page.go_back()
    expect(page.locator("#detail .where")).to_contain_text("demo")


def test_a_deep_link_restores_filters_and_sample(opened: Open, report: Path) -> None:
    page = opened(report)
    page.select_option("#f-style", "demo")
    page.select_option("#f-shape", "arrow")
    page.fill("#f-q", "arrow?")
    page.locator("#list .row").nth(1).click()
    assert shown_id(page) == "q5"
    other = opened(report, "#" + page.url.partition("#")[2])
    assert [other.input_value(f"#f-{name}") for name in ("style", "shape", "q")] == [
        "demo", "arrow", "arrow?",
    ]  # fmt: skip
    assert (count(other), shown_id(other)) == (2, "q5")
    assert other.locator(".row.chosen").inner_text().startswith("q5")


def test_the_back_button_goes_back_through_filters_and_samples(opened: Open, report: Path) -> None:
    page = opened(report)
    page.select_option("#f-shape", "ellipse")
    page.select_option("#f-color", "red")
    page.locator("#list .row").nth(1).click()
    page.go_back()
    page.go_back()
    expect(page.locator("#f-color")).to_have_value("")
    assert page.input_value("#f-shape") == "ellipse"
    assert count(page) == 4
    page.go_forward()
    expect(page.locator("#f-color")).to_have_value("red")


@pytest.mark.parametrize(
    "address",
    ["#/id=nothing&in=own&under=demo", "#/shape=%E0%A4%A&task=<b>&x=1", "#/between=9-9&run=77"],
)
def test_a_broken_address_does_no_harm(opened: Open, report: Path, address: str) -> None:
    page = opened(report, address)
    assert page.locator("#list .row").count() > 5
    assert ("no sample nothing" in page.inner_text("#count")) == ("nothing" in address)


def test_keys(opened: Open, report: Path) -> None:
    page = opened(report)
    first = page.locator("#list .row.chosen")
    assert first.get_attribute("aria-posinset") == "1"
    assert first.get_attribute("aria-label") == (
        "q0, own, demo, red rectangle; base: right; new: right"
    )
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.locator(".row.chosen").get_attribute("aria-posinset") == "3"
    page.keyboard.press("k")
    assert page.locator(".row.chosen").get_attribute("aria-posinset") == "2"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "f-q"
    page.keyboard.type("jk")
    assert page.input_value("#f-q") == "jk"
    page.fill("#f-q", "")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "list"
    page.keyboard.press("End")
    assert page.locator(".row.chosen").get_attribute("aria-posinset") == "18"
    assert page.get_attribute("#list", "aria-activedescendant") == "row-17"
    page.keyboard.press("ArrowUp")
    assert page.locator(".row.chosen").get_attribute("aria-posinset") == "17"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "detail"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "list"


def test_single_keys_can_be_turned_off(opened: Open, report: Path) -> None:
    page = opened(report)
    page.uncheck("#shortcuts")
    page.keyboard.press("j")
    page.keyboard.press("/")
    assert page.locator(".row.chosen").get_attribute("aria-posinset") == "1"
    assert page.evaluate("document.activeElement.id") != "f-q"


def test_every_control_is_reached_and_named(opened: Open, report: Path) -> None:
    page = opened(report)
    reached = []
    for _ in range(400):
        page.keyboard.press("Tab")
        name = page.evaluate("document.activeElement.id")
        if name == "detail" or page.evaluate("document.activeElement === document.body"):
            break
        reached.append(name)
    ids = [name for name in reached if name.startswith("f-") or name in ("clear", "list")]
    assert ids == [
        "f-q", "f-style", "f-shape", "f-color", "f-state", "f-run", "f-between", "clear", "list",
    ]  # fmt: skip
    unnamed = page.evaluate(
        """[...document.querySelectorAll('input, select, button, a[href]')].filter(e =>
          !(e.labels?.length || e.textContent.trim() || e.getAttribute('aria-label')))
          .map(e => e.outerHTML)"""
    )
    assert unnamed == []
    outline = page.evaluate(
        "document.getElementById('f-q').focus(), "
        "getComputedStyle(document.activeElement).outlineStyle"
    )
    assert outline == "solid"


def test_numbers_of_the_tables_open_their_samples(opened: Open, report: Path) -> None:
    page = opened(report)
    page.locator("table.heat td a").first.click()
    expect(page.locator("#f-shape")).to_have_value("rectangle")
    assert page.input_value("#f-color") == "red"
    assert count(page) == 2
    page.locator("#differences a", has_text="3").click()
    expect(page.locator("#f-between")).to_have_value("1-2")


def test_hostile_text_stays_text(opened: Open, tmp_path: Path, images: Path) -> None:
    item = Item(
        id=EVIL, question=EVIL, answer=EVIL, target=EVIL, choices=(EVIL, "b"), group="1.png"
    )
    run = write_run(tmp_path / "run", [item], images=images, model=EVIL, task=EVIL)
    page = opened(write_report([run], tmp_path / "out"))
    visible = EVIL.replace("\u202e", "⟨U+202E⟩")
    assert page.title() == f"{visible}"
    assert shown_id(page) == visible
    assert page.locator("pre.turn").inner_text().startswith(visible)
    assert page.locator("body script").count() == 2
    assert page.locator("img").count() == page.locator("img[src^='data:image/webp']").count()
    page.locator("#list .row").click()
    again = opened(tmp_path / "out" / "report.html", "#" + page.url.partition("#")[2])
    assert again.locator(".row.chosen").count() == 1


def test_the_policy_stops_what_escaping_might_miss(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    page.goto(report.as_uri())
    blocked = page.evaluate(
        """() => new Promise((resolve) => {
          document.addEventListener('securitypolicyviolation', (event) => {
            resolve(event.effectiveDirective);
          });
          const script = document.createElement('script');
          script.textContent = 'document.title = "hacked"';
          document.body.append(script);
        })"""
    )
    assert blocked == "script-src-elem"
    assert page.title() != "hacked"
    page.close()


def test_a_phone_scrolls_one_way_only(opened: Open, report: Path) -> None:
    page = opened(report, width=360, height=740)
    page.evaluate(OPEN_ALL)
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    wide = page.evaluate(
        """[...document.querySelectorAll('body *')].filter((each) =>
          each.getBoundingClientRect().right > 361 && !each.closest('.scroll, .bar ul, .skip'))
          .map((each) => each.outerHTML.slice(0, 80))"""
    )
    assert wide == []
    page.locator("#list .row").nth(2).click()
    assert 0 <= page.evaluate("document.getElementById('detail').getBoundingClientRect().top") < 100
    page.locator("a.back").click()
    assert page.evaluate("document.activeElement.id") == "list"


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a report of five runs under three styles, with names as long as people make them."""
    folder = tmp_path_factory.mktemp("five")
    write_image(folder / "images")
    names = ("llava-v1.5-7b", "expA/checkpoint-600", "expA/checkpoint-1200", "q")
    runs = []
    for number, model in enumerate((*names, "a-model-with-a-rather-long-name-of-its-own")):
        answers = ("A", "B", "A", None, "I cannot tell", "A")
        items = [
            Item(id=f"q{n}", shape=shape, color=color, style=style, answer=answers[n - number])
            for style in ("demo", "other", "none")
            for n, (shape, color) in enumerate(itertools.product(SHAPES, COLORS))
        ]
        runs.append(write_run(folder / f"{number}", items, images=folder / "images", model=model))
    with pytest.MonkeyPatch.context() as patch:
        without_rendering(patch)
        return write_report(runs, folder / "out")


OPEN_ALL = "document.querySelectorAll('details').forEach((each) => { each.open = true; })"


def test_the_styles_stand_first_and_troubles_are_a_line_each(opened: Open, five: Path) -> None:
    page = opened(five)
    sections = page.evaluate("[...document.querySelectorAll('main > section')].map((s) => s.id)")
    assert sections[:3] == ["best", "troubles", "leaderboard"]
    assert page.locator("#best thead th").count() == 6
    folds = page.locator("#troubles details")
    assert folds.count() == 5
    for fold in folds.all():
        box = fold.bounding_box()
        assert box is not None
        assert box["height"] < 40
    folds.first.locator("summary").click()
    expect(folds.first.locator("table")).to_be_visible()
    page.locator("#best tbody a").first.click()
    assert count(page) == 6


def test_five_runs_fit_beside_each_other(opened: Open, five: Path) -> None:
    page = opened(five)
    page.evaluate(OPEN_ALL)
    cut = page.evaluate(
        """[...document.querySelectorAll('main > section:not(.browser) .scroll')]
          .filter((each) => each.scrollWidth > each.clientWidth + 1)
          .map((each) => each.getAttribute('aria-label'))"""
    )
    assert cut == []


def test_on_a_phone_tables_keep_their_first_column(opened: Open, five: Path) -> None:
    page = opened(five, width=390, height=844)
    page.evaluate(OPEN_ALL)
    found = page.evaluate(
        """[...document.querySelectorAll('.scroll')].filter((each) =>
          each.scrollWidth > each.clientWidth + 1).map((each) => {
          each.scrollLeft = 1e6;
          const frame = each.getBoundingClientRect();
          const rows = [...each.querySelectorAll('tr:not(.group)')];
          return [
            each.getAttribute('aria-label'),
            Math.max(...rows.map((row) => row.firstElementChild.getBoundingClientRect().right))
              - frame.left,
            Math.max(...rows.map((row) =>
              Math.abs(row.firstElementChild.getBoundingClientRect().left - frame.left))),
            Math.max(...rows.map((row) =>
              row.lastElementChild.getBoundingClientRect().right - frame.right)),
          ];
        })"""
    )
    assert len(found) > 5
    for name, first, moved, cut in found:
        assert first < 200, name  # leaves room for numbers beside it
        assert moved <= 3, name
        assert cut < 1, name


CONTRAST = """() => {
  const parse = (text) => (text.match(/[\\d.]+/g) ?? []).map(Number);
  const light = (rgb) => rgb.slice(0, 3).map((each) => each / 255)
    .map((each) => each <= 0.03928 ? each / 12.92 : ((each + 0.055) / 1.055) ** 2.4)
    .reduce((sum, each, place) => sum + each * [0.2126, 0.7152, 0.0722][place], 0);
  const over = (front, back) => front.length < 4 ? front
    : [0, 1, 2].map((place) => front[3] * front[place] + (1 - front[3]) * back[place]);
  const ground = (element) => {
    if (!element) return [255, 255, 255];
    const own = parse(getComputedStyle(element).backgroundColor);
    return own.length === 4 && own[3] === 0 ? ground(element.parentElement)
      : over(own, own.length === 4 ? ground(element.parentElement) : []);
  };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.checkVisibility()) continue;
    if (element.closest('script, style, option, :disabled')) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(ground(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) poor.push([contrast.toFixed(2), element.outerHTML.slice(0, 90)]);
  }
  return poor;
}"""


@pytest.mark.parametrize("dark", [False, True])
def test_text_has_contrast(opened: Open, report: Path, dark: bool) -> None:
    page = opened(report, "#/in=own&under=demo&id=q3", dark=dark)
    page.evaluate(OPEN_ALL)
    grounds = {True: "rgb(16, 21, 28)", False: "rgb(246, 247, 249)"}
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == grounds[dark]
    assert page.evaluate(CONTRAST) == []


def test_every_step_of_the_heat_map_has_contrast(opened: Open, report: Path) -> None:
    page = opened(report)
    page.evaluate(
        """() => document.querySelectorAll('.ramp i').forEach((each, place) => {
          each.textContent = String(place);
        })"""
    )
    assert page.locator(".ramp i").count() == 21
    assert page.evaluate(CONTRAST) == []


def test_print_shows_the_tables_and_hides_the_controls(opened: Open, report: Path) -> None:
    page = opened(report)
    page.emulate_media(media="print")
    assert page.locator("table.board").first.is_visible()
    for name in ("#filters", "#list", "nav.bar"):
        assert not page.locator(name).is_visible()


@pytest.mark.usefixtures("no_rendering")
def test_pictures_beside_the_page_are_loaded(opened: Open, tmp_path: Path, images: Path) -> None:
    run = write_run(tmp_path / "run", [Item(), Item(id="q2")], images=images)
    page = opened(write_report([run], tmp_path / "out", max_inline=1))
    picture = page.locator("#detail figure img")
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") == 48
    assert "report_files/pictures/" in str(picture.get_attribute("src"))


@pytest.mark.usefixtures("no_rendering")
def test_without_pictures_the_page_says_why(opened: Open, tmp_path: Path, images: Path) -> None:
    run = write_run(tmp_path / "run", [Item()], images=images, redistribute=False)
    page = opened(write_report([run], tmp_path / "out"))
    assert page.locator("#detail figure").count() == 0
    assert "may not be redistributed" in page.inner_text("#detail .nopicture")


CHOSEN_IS_SEEN = """() => {
  const row = document.querySelector('#list .row.chosen')?.getBoundingClientRect();
  const list = document.getElementById('list').getBoundingClientRect();
  return row && row.height > 0 && list.top - 2 <= row.top && row.bottom <= list.bottom + 2;
}"""
"""Waited for: rows are laid out again after each key and each scrolling."""


@pytest.mark.usefixtures("no_rendering")
def test_thousands_of_samples_stay_usable(opened: Open, tmp_path: Path, images: Path) -> None:
    n = 5000
    items = [
        Item(
            id=f"sample-{number}",
            question=f"What is number {number} within the red rectangle?",
            answer="AB"[number % 10 == 0],
            shape=SHAPES[number % 3],
            group=f"{number // 2}.png",
        )
        for number in range(n)
    ]
    run = write_run(tmp_path / "run", items, images=images, redistribute=False)
    page = opened(write_report([run], tmp_path / "out"))
    rows = page.locator("#list .row")
    assert count(page) == n
    assert rows.count() < 60
    page.select_option("#f-state", "wrong")
    assert count(page) == 500
    page.fill("#f-q", "4990")
    assert (count(page), shown_id(page)) == (1, "sample-4990")
    page.click("#clear")
    page.focus("#list")
    page.keyboard.press("End")
    assert shown_id(page) == "sample-4999"
    assert rows.count() < 60
    page.wait_for_function(CHOSEN_IS_SEEN)
    page.evaluate("document.getElementById('list').scrollTop = 160000")
    expect(rows.nth(10)).to_contain_text("sample-25")
    assert rows.count() < 60
    assert page.evaluate("document.querySelectorAll('*').length") < 1000


def test_more_rows_than_a_browser_lays_out(opened: Open, report: Path, tmp_path: Path) -> None:
    """200,000 rows are taller than a browser allows, so the list scrolls faster than the page."""
    text = report.read_text(encoding="utf-8")
    start, end = text.index('id="data">') + len('id="data">'), text.index("</script>")
    data = json.loads(text[start:end])
    times = 200_000 // len(data["rows"]["id"])
    for column in data["rows"]:
        data["rows"][column] *= times
    n = len(data["rows"]["id"])
    data["rows"]["id"] = list(range(len(data["texts"]), len(data["texts"]) + n))
    data["texts"] += [f"sample {number}" for number in range(n)]
    for each in data["answers"]:
        for column in ("state", "ask", "text", "parsed", "note"):
            each[column] *= times
    path = tmp_path / "many.html"
    path.write_text(text[:start] + json.dumps(data).replace("<", "\\u003c") + text[end:])
    page = opened(path)
    assert count(page) == n
    page.focus("#list")
    page.keyboard.press("End")
    assert page.locator(".row.chosen").get_attribute("aria-posinset") == str(n)
    page.wait_for_function(CHOSEN_IS_SEEN)
    page.keyboard.press("ArrowUp")
    expect(page.locator(".row.chosen")).to_have_attribute("aria-posinset", str(n - 1))
    page.wait_for_function(CHOSEN_IS_SEEN)
    assert page.locator("#list .row").count() < 60
