"""How numbers, tables and markup are spelled."""

import csv
import io
import xml.etree.ElementTree as Xml

import pytest

from vipbench.report.text import (
    Grid,
    counted,
    csv_table,
    latex_text,
    markdown_list,
    markdown_page,
    markdown_section,
    markdown_text,
    number,
    p_text,
    percent,
    percent_interval,
    plot_text,
    points,
    points_interval,
    signed,
    xml_text,
)

HOSTILE = "a|b\n<i>`*_50%_&{x}\\ [y] $"
GRID = Grid("A & B", ("model", "task", "n"), [("a|b", "t_1", "< 0.001")])

# --- numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0.0, "0.0"), (-0.0, "0.0"), (-0.0004, "0.0"), (0.031, "+3.1"), (-1, "-100.0")],
)
def test_differences_have_their_sign(value: float | None, text: str) -> None:
    assert points(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (0, "< 0.001"), (0.00099, "< 0.001"), (0.001, "0.001"), (1, "1.000")],
)
def test_p_values_have_three_decimals(value: float | None, text: str) -> None:
    assert p_text(value) == text


def test_fractions_are_shown_in_percent_without_the_unit() -> None:
    assert (percent(0.8125), percent(0.8125, 2), percent(1, 0), percent(None)) == (
        "81.2",
        "81.25",
        "100",
        "-",
    )
    assert (number(2 / 3, 2), number(None, 2)) == ("0.67", "-")
    assert (signed(0.4567, 2), signed(-0.001, 2), signed(None, 2)) == ("+0.46", "0.00", "-")


def test_an_interval_stands_in_brackets() -> None:
    assert percent_interval(0.812, 0.761, 0.854) == "81.2 [76.1, 85.4]"
    assert percent_interval(0.812, 0.761, 0.854, 2) == "81.20 [76.10, 85.40]"
    assert points_interval(0, -0.051, 0.0131) == "0.0 [-5.1, +1.3]"
    assert percent_interval(0.5, None, None) == points_interval(None, None, None) == "-"


def test_things_are_counted_in_words() -> None:
    assert [counted(n, "run") for n in (0, 1, 2000)] == ["0 runs", "1 run", "2,000 runs"]


# --- tables and markup


def test_markdown_keeps_any_text_in_its_cell() -> None:
    assert markdown_text("a|b\n<i>`*") == r"a\|b \<i>\`\*"
    assert markdown_list(["a|b", "c"]) == "- a\\|b\n- c"


def test_a_page_has_its_tables_below_their_titles() -> None:
    assert markdown_page(["# Page", "", markdown_section(GRID)]) == (
        "# Page\n\n## A & B\n\n"
        "| model | task | n |\n| --- | --- | --- |\n| a\\|b | t_1 | \\< 0.001 |\n"
    )


def test_latex_keeps_any_text_in_its_cell() -> None:
    expected = (
        r"a\textbar{}b \textless{}i\textgreater{}`*\_50\%\_\&\{x\}\textbackslash{} {[}y{]} \$"
    )
    assert latex_text(HOSTILE) == expected


def test_csv_holds_values_as_they_are() -> None:
    text = csv_table(("name", "share", "ok"), [{"name": HOSTILE, "share": None, "ok": True}])
    [row] = csv.DictReader(io.StringIO(text, newline=""))
    assert row == {"name": HOSTILE, "share": "", "ok": "true"}
    assert text.startswith("name,share,ok\n")


@pytest.mark.parametrize("text", ["=1+2", "+a", "-a", "@A1", "\t=1", "\r=1", "-", "+", "-1 ("])
def test_csv_is_never_a_formula(text: str) -> None:
    [row] = csv.DictReader(io.StringIO(csv_table(("a",), [{"a": text}]), newline=""))
    assert row == {"a": f"'{text}"}


@pytest.mark.parametrize("value", [-0.5, "-0.5", "+3", "-1e-07", -3, "a=b", "'=", ""])
def test_csv_keeps_numbers_and_plain_text(value: object) -> None:
    [row] = csv.DictReader(io.StringIO(csv_table(("a", "b"), [{"a": value, "b": 1}]), newline=""))
    assert row["a"] == str(value)


def test_xml_and_plots_keep_any_text() -> None:
    element = Xml.Element("a")
    element.text = xml_text("\x00\x1b<b>\ud800")
    assert Xml.fromstring(Xml.tostring(element)).text == "��<b>�"
    assert plot_text("$x$") == r"\$x\$"
